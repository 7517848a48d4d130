from threading import Thread

from app.extensions import db
from app.factory import with_app_context
from app.models import Visit


@with_app_context
def store(path):
    db.session.add(Visit(path=path))
    db.session.commit()


def visit(path):
    Thread(target=store, args=(path,)).start()
