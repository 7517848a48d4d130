from app.models import Item
from sqlalchemy.orm import sessionmaker

SessionLocal = sessionmaker()


def names(shards):
    sessions = {name: SessionLocal() for name in shards}  # TXN301
    for session in sessions.values():
        session.add(Item())
        session.commit()


def closes_something_else(shards, files):
    sessions = [SessionLocal() for _ in shards]  # TXN301
    for file in files:
        file.close()
    for session in reversed(sessions):
        session.add(Item())
        session.commit()
