import threading

from flask import current_app

from app.extensions import db
from app.models import Mail


class Cleaner(threading.Thread):
    def run(self):
        with self.lock:
            self.stack.push()
            db.session.query(Mail).delete()
            db.session.commit()


class Logger(threading.Thread):
    def run(self):
        current_app.logger.info("x")


class LoudLogger(Logger):
    volume = 11


def start():
    Cleaner().start()  # TXN403
    worker = LoudLogger(name="x")  # TXN403
    worker.start()
