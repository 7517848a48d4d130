from threading import Thread

from app.extensions import db
from app.factory import create_app
from app.models import Visit

create_app().app_context().push()


def store(path):
    db.session.add(Visit(path=path))


def visit(path):
    Thread(target=store, args=(path,)).start()
