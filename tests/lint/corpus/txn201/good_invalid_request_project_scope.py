from contextlib import contextmanager

from app.database import SessionLocal
from app.models import Metric


@contextmanager
def scope():
    session = SessionLocal()
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.close()


def store(value):
    try:
        with scope() as session:
            session.add(Metric(value=value))
            session.flush()
    except Exception:
        print("metric lost")
