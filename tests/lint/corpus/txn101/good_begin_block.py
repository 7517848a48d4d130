from celery import shared_task

from app.extensions import db
from app.models import Item


@shared_task
def create():
    with db.session.begin():
        db.session.add(Item())
