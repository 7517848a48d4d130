from app.extensions import db
from app.models import User


def set_password(user: User, password):
    try:
        user.set_password(password)
        db.session.commit()
    except ValueError as error:
        print(error)
