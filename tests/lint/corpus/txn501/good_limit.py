from app.extensions import db
from app.models import Outbox


def send():
    for message in Outbox.query.limit(50):
        message.send()
        db.session.commit()
