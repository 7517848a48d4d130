import contextlib
from contextlib import suppress

from sqlalchemy.exc import IntegrityError, NoResultFound

from app.extensions import db
from app.models import Tag


def remember(tag):
    with contextlib.suppress(IntegrityError), db.session.begin_nested():
        db.session.add(tag)
    db.session.commit()


def find(name):
    with suppress(NoResultFound):
        return db.session.query(Tag).filter_by(name=name).one()


def nothing(tag):
    with suppress():
        db.session.add(tag)
        db.session.commit()


def undone(tag):
    try:
        with suppress(IntegrityError):
            db.session.add(tag)
            db.session.commit()
    finally:
        db.session.rollback()
