import requests

from app.extensions import db
from app.models import Host


def probe(host):
    return requests.get(f"https://{host}/health").ok


def check(host_id):
    host = db.session.get(Host, host_id)
    host.alive = probe(host.name)  # TXN502
    db.session.commit()
