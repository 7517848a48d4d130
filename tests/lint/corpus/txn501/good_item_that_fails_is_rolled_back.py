"""Each item has a transaction of its own: its handler rolls it back, and the next one goes on."""

from app import db
from app.models import File
from app.storage import StorageError


def delete_unclaimed():
    for file in File.query.filter_by(claimed=False).all():
        try:
            file.delete()
        except StorageError:
            db.session.rollback()
            file.failed = True
        db.session.commit()
