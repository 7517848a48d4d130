from contextlib import contextmanager

from app.models import Item
from sqlalchemy.orm import sessionmaker

SessionLocal = sessionmaker()


@contextmanager
def begun():
    with SessionLocal() as session, session.begin():
        yield session


@contextmanager
def logged():
    with begun() as session:
        yield session


def put(name):
    with begun() as session:
        with session.begin():  # TXN103
            session.add(Item(name=name))


def put_logged(name):
    with logged() as session:
        with session.begin():  # TXN103
            session.add(Item(name=name))
