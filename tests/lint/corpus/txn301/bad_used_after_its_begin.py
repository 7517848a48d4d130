from app.models import Item
from sqlalchemy.orm import sessionmaker

SessionLocal = sessionmaker()


def read_after_the_block(name):
    session = SessionLocal()  # TXN301
    with session.begin():
        session.add(Item(name=name))
    return session.get(Item, 1).name


def begun_without_a_block(name):
    session = SessionLocal()  # TXN301
    session.begin()
    session.add(Item(name=name))
    session.commit()
    return session.get(Item, 1).name


def savepoint_only(name):
    session = SessionLocal()  # TXN301
    with session.begin_nested():
        session.add(Item(name=name))
