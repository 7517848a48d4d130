from threading import Timer

from flask_safesession import AppContextManager

from app.extensions import db
from app.models import Visit

pool = AppContextManager().executor(max_workers=2)


def store(path):
    db.session.add(Visit(path=path))
    db.session.commit()


def visit(path):
    pool.submit(store, path)
    Timer(5, store, [path]).start()  # TXN403
