import requests
from sqlalchemy import select


def fetch(session: requests.Session, url):
    with session:
        return session.get(url), select(1)
