from flask import abort
from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.models import Group


def create(name):
    db.session.add(Group(name=name))
    try:
        db.session.commit()
    except IntegrityError as error:
        if "name" in str(error):
            abort(400, "The name is taken.")
        abort(500)
