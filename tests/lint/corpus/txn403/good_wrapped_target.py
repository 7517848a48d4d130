from threading import Thread

from flask_safesession import AppContextManager

from app.extensions import db
from app.models import Visit


def store(path):
    db.session.add(Visit(path=path))
    db.session.commit()


def visit(app, path):
    Thread(target=AppContextManager(app).wrap(store), args=(path,)).start()
