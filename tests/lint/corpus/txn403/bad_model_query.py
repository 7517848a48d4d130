from threading import Timer

from app.extensions import db


class Token(db.Model):
    __tablename__ = "token"


def count():
    print(Token.query.count())


def start():
    Timer(60, count).start()  # TXN403
