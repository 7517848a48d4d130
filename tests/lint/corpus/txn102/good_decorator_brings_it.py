from functools import wraps

from app.database import SessionLocal
from app.models import Signal


def with_own_session(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        session = SessionLocal()
        try:
            result = function(*args, db_session=session, **kwargs)
            session.commit()
            return result
        finally:
            session.close()

    return wrapper


@with_own_session
def handle(signal_id, db_session=None):
    db_session.get(Signal, signal_id).handle()
    db_session.commit()
