from threading import Thread

from flask import current_app

from app.extensions import db
from app.mail import send


def notify(message):
    db.session.commit()
    Thread(target=send, kwargs={"app": current_app, "message": message}).start()  # TXN401
