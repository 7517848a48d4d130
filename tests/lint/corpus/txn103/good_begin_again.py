from contextlib import ExitStack

from sqlalchemy.orm import Session

from app.engine import engine
from app.models import Line


def one_after_the_other(rows):
    with Session(engine) as session:
        with session.begin():
            session.add_all(rows)
        with session.begin():
            session.add(Line())


def committed(rows):
    with Session(engine) as session:
        for row in rows:
            session.begin()
            session.add(row)
            session.commit()


def kept(rows):
    with Session(engine) as session:
        transaction = session.begin()
        session.add_all(rows)
        transaction.commit()
        session.begin()
        session.add(Line())
        session.commit()


def stacked(rows):
    with Session(engine) as session:
        with ExitStack() as stack:
            stack.enter_context(session.begin())
            session.add_all(rows)
        with session.begin():
            session.add(Line())


def by_a_savepoint(rows):
    with Session(engine) as session:
        session.begin()
        session.add_all(rows)
        with session.begin(nested=True):
            session.add(Line())


def work(session):
    session.begin_nested()
    session.add(Line())


def by_a_helper(rows):
    with Session(engine) as session:
        work(session)
        session.begin()
