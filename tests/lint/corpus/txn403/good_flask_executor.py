from flask_executor import Executor

from app.extensions import db
from app.models import Visit

executor = Executor()


def store(path):
    db.session.add(Visit(path=path))
    db.session.commit()


def visit(path):
    executor.submit(store, path)
