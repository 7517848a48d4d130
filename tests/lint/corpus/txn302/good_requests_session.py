import requests
from sqlalchemy import select

session = requests.Session()


def fetch(url):
    return session.get(url), select(1)
