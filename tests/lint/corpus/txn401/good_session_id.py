from flask import session

from app.extensions import db
from app.tasks import track


def visit():
    db.session.commit()
    track.delay(session["id"])
