"""'current_app' means nothing in the thread, so that its context cannot be pushed either."""

import threading

from flask import current_app
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Message(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def send_to_all(number):
    app = current_app
    with app.app_context():
        Message.query.get(number)


def message_everybody(number):
    threading.Thread(target=send_to_all, args=(number,)).start()  # TXN403
