from threading import Thread

from flask import copy_current_request_context

from app.extensions import db
from app.models import Visit


def visit(path):
    @copy_current_request_context
    def store():
        db.session.add(Visit(path=path))
        db.session.commit()

    Thread(target=store).start()
