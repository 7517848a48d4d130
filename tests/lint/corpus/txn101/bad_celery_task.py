from celery import shared_task

from app.extensions import db
from app.models import Token


@shared_task
def drop_expired():
    db.session.query(Token).filter(Token.expired).delete()  # TXN101
