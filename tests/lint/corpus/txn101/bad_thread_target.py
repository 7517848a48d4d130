from threading import Thread

from app.extensions import db
from app.models import Heartbeat


def beat(app):
    with app.app_context():
        db.session.add(Heartbeat())  # TXN101


def start(app):
    Thread(target=beat, args=(app,)).start()
