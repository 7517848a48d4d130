from app.extensions import db
from app.undoing import suppress


def remember(tag):
    with suppress(Exception):
        db.session.add(tag)
        db.session.commit()
