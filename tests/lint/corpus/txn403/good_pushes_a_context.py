from threading import Thread

from app.extensions import db
from app.models import Visit


def store(app, path):
    with app.app_context():
        db.session.add(Visit(path=path))
        db.session.commit()


def visit(app, path):
    Thread(target=store, args=(app, path)).start()
