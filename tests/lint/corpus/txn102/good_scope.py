from contextlib import contextmanager

from sqlalchemy.orm import Session


@contextmanager
def transaction(session: Session):
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
