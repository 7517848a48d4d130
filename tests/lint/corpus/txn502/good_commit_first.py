import requests

from app.extensions import db
from app.models import Event


def record(data, hooks):
    db.session.add(Event(data=data))
    db.session.commit()
    for hook in hooks:
        requests.post(hook, json=data)
