from functools import wraps
from threading import Thread

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
app = Flask(__name__)


def ready(function):
    @wraps(function)
    def inner(*args):
        with app.app_context():
            return function(*args)

    return inner


class Ready:
    def __init__(self, function):
        self.function = function

    def __call__(self, *args):
        with app.app_context():
            return self.function(*args)


@ready
def count():
    db.session.execute(db.text("select 1"))


@Ready
def count_again():
    db.session.execute(db.text("select 1"))


def count_twice():
    count()
    count()


def start():
    Thread(target=count).start()
    Thread(target=count_again).start()
    Thread(target=count_twice).start()
