import boto3

from app.extensions import db
from app.models import Export

s3 = boto3.client("s3")


def export(export_id):
    row = db.session.get(Export, export_id)
    s3.upload_file(row.path, "exports", row.name)  # TXN502
    row.stored = True
    db.session.commit()
