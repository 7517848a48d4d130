from sqlalchemy.exc import NoResultFound

from app.extensions import db
from app.models import User


def rename(user_id, name):
    try:
        user = db.session.query(User).filter_by(id=user_id).one()
        user.name = name
        db.session.commit()
    except NoResultFound:
        print("no such user")
