from pydantic import BaseModel

from app.extensions import db
from app.tasks import store


class Payload(BaseModel):
    text: str


def receive(payload: Payload):
    db.session.commit()
    store.delay(payload)
