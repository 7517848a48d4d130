import logging

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session


def save(session: Session, row: object) -> None:
    failure: Exception | None = None
    for _ in range(3):
        try:
            session.add(row)
            session.flush()
            return
        except OperationalError as error:  # TXN201
            failure = error
            logging.warning("once more")
    assert failure is not None
    raise failure
