from app.extensions import db
from app.models import Group


def create(name):
    db.session.add(Group(name=name))
    db.session.commit()
