import requests
from sqlalchemy import select

from app.models import Host


def ping(session: requests.Session, host: Host):
    session.get(host.url)
    session.close()
    return select(Host)
