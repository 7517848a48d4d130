from threading import Thread

from flask import current_app

from app.extensions import db
from app.mail import send


def notify(message):
    db.session.commit()
    Thread(target=send, args=(current_app._get_current_object(), message)).start()
