from threading import Thread

from flask_login import current_user

from app.extensions import db
from app.mail import send


def notify(text):
    db.session.commit()
    Thread(target=send, args=(current_user, text)).start()  # TXN401
