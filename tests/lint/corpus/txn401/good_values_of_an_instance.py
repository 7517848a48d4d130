from threading import Thread

from app.extensions import db
from app.mail import send


class User(db.Model):
    __tablename__ = "user"


def welcome(user_id):
    user = db.session.get(User, user_id)
    Thread(target=send, args=(user.email, {"name": user.name})).start()
