"""The app itself is handed over, and pushes a context in the thread."""

import threading

from flask import current_app
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Message(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def send_to_all(app, number):
    with app.app_context():
        Message.query.get(number)


def message_everybody(number):
    app = current_app._get_current_object()
    threading.Thread(target=send_to_all, args=(app, number)).start()
