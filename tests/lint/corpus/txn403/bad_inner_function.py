from threading import Thread

from app.extensions import db
from app.models import Visit


def visit(path):
    def store():
        db.session.add(Visit(path=path))
        db.session.commit()

    Thread(target=store).start()  # TXN403
