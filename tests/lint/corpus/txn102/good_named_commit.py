from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session


def commit_or_rollback(session: Session) -> bool:
    try:
        session.commit()
    except OperationalError:
        session.rollback()
        return False
    return True
