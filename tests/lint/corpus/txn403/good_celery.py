from celery import shared_task

from app.extensions import db
from app.models import Visit


@shared_task
def store(path):
    db.session.add(Visit(path=path))
    db.session.commit()


def visit(path):
    store.delay(path)
