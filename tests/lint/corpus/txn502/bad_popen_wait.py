import subprocess

from app.extensions import db
from app.models import Build


def build(build_id):
    row = db.session.get(Build, build_id)
    process = subprocess.Popen(row.command)
    row.code = process.wait()  # TXN502
    db.session.commit()
