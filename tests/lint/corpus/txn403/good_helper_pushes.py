from threading import Thread

from app.extensions import db
from app.factory import app
from app.models import Visit


def write(path):
    with app.app_context():
        db.session.add(Visit(path=path))
        db.session.commit()


def store(path):
    write(path)


def visit(path):
    Thread(target=store, args=(path,)).start()
