import requests
from sqlalchemy import text

from app.database import SessionLocal


def lock_and_call(key):
    with SessionLocal.begin() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(1)"))
        requests.post("https://api.example/run", data=key)  # TXN502
        session.commit()
