import contextlib
from contextlib import suppress

from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.locks import lock


def remember(tag):
    with contextlib.suppress(IntegrityError):  # TXN201
        db.session.add(tag)
        db.session.commit()


def remember_all(tags):
    for tag in tags:
        with lock(tag), suppress(ValueError, Exception), lock("all"):  # TXN201
            db.session.add(tag)
            db.session.flush()
    db.session.commit()
