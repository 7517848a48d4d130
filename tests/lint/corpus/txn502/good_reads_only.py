import requests

from app.extensions import db
from app.models import Host


def ping(host_id):
    host = db.session.get(Host, host_id)
    return requests.get(host.name).ok
