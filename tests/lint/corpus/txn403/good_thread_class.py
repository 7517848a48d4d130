import threading

from flask_safesession import AppContextManager

from app import create_app
from app.extensions import db
from app.models import Mail


class Cleaner(threading.Thread):
    def __init__(self, app):
        super().__init__()
        self.app = app

    def run(self):
        with self.app.app_context():
            db.session.query(Mail).delete()
            db.session.commit()


class Sweeper(threading.Thread):
    @AppContextManager(create_app())
    def run(self):
        db.session.query(Mail).delete()
        db.session.commit()


class Pushing(threading.Thread):
    def __init__(self, app):
        super().__init__()
        self.app_context = app.app_context()

    def run(self):
        self.app_context.push()
        db.session.query(Mail).delete()


class Entering(threading.Thread):
    def __init__(self, app):
        super().__init__()
        self.ctx = app.app_context()

    def run(self):
        with self.ctx:
            db.session.query(Mail).delete()


class Task:
    def run(self):
        db.session.query(Mail).delete()
        db.session.commit()


def start():
    Cleaner(create_app()).start()
    Sweeper().start()
    Pushing(create_app()).start()
    Entering(create_app()).start()
    Task().run()
