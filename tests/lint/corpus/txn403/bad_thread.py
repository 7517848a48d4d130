from threading import Thread

from app.extensions import db
from app.models import Visit


def store(path):
    db.session.add(Visit(path=path))
    db.session.commit()


def visit(path):
    Thread(target=store, args=(path,)).start()  # TXN403
