from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.models import User


def register(email):
    db.session.add(User(email=email))
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return False
    return True
