from contextlib import contextmanager

from flask_safesession import session_manager
from sqlalchemy.orm import sessionmaker

from app.models import Item

SessionLocal = sessionmaker()


@contextmanager
def scope():
    session = SessionLocal()
    try:
        yield session
        session.commit()
    except Exception:
        session.rollback()
        raise
    finally:
        session.close()


def begun():
    with session_manager() as session:
        with session.begin():  # TXN103
            session.add(Item())


def begun_by_a_call():
    with session_manager() as session:
        session.begin()  # TXN103
        session.add(Item())


def entered():
    with session_manager() as session:
        with session:  # TXN103
            session.add(Item())


def begun_in_a_scope_of_the_project():
    with scope() as session:
        with session.begin():  # TXN103
            session.add(Item())


def begun_after_an_add():
    with scope() as session:
        session.add(Item())
        with session.begin():  # TXN103
            session.add(Item())
