from functools import wraps
from threading import Thread

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
app = Flask(__name__)


def logged(function):
    @wraps(function)
    def inner(*args):
        print(function.__name__)
        return function(*args)

    return inner


@logged
def count():
    db.session.execute(db.text("select 1"))


def start():
    Thread(target=count).start()  # TXN403
