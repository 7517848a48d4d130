import requests

from app.database import SessionLocal
from app.models import Host


def check(host_id):
    with SessionLocal() as session:
        name = session.get(Host, host_id).name
    alive = requests.get(name).ok
    with SessionLocal.begin() as session:
        session.get(Host, host_id).alive = alive
