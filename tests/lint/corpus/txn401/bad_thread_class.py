import threading

from flask import Blueprint
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
bp = Blueprint("mails", __name__)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Worker(threading.Thread):
    def __init__(self, subject, job):
        super().__init__(daemon=True)
        self.subject, self.job = subject, job

    def run(self):
        print(self.subject, self.job)


class Mailer(Worker):
    pass


@bp.post("/mails/<int:number>")
def send(number):
    user = db.session.get(User, number)
    Worker("x", job=user).start()  # TXN401
    Mailer(db.session, None).start()  # TXN401
    return ""
