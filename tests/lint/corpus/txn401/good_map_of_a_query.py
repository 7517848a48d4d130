from app.extensions import db
from app.models import Row


def names():
    return list(map(str, db.session.query(Row).all()))
