from threading import Thread

from flask import Blueprint
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
bp = Blueprint("mails", __name__)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Mailer(Thread):
    def __init__(self, user, subject):
        super().__init__()
        self.user_id = user.id
        self.subject = subject

    def run(self):
        print(self.user_id, self.subject)


class Report:
    def __init__(self, user):
        self.user = user

    def run(self):
        print(self.user)


class Beat(Thread):
    def run(self):
        print("x")


@bp.post("/mails/<int:number>")
def send(number):
    user = db.session.get(User, number)
    Mailer(user, "x").start()
    Report(user).run()
    Beat().start()
    return ""
