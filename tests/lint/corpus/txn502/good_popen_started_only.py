import subprocess

from app.extensions import db
from app.models import Build


def build(build_id):
    row = db.session.get(Build, build_id)
    row.pid = subprocess.Popen(row.command).pid
    db.session.commit()
