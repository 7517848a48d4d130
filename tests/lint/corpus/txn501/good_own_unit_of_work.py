import logging

from sqlalchemy.orm import Session

from app.signals import process


def process_all(session: Session, ids: list[int]):
    for signal_id in ids:
        try:
            process(session, signal_id)
            session.commit()
        except Exception:
            logging.exception("signal %s", signal_id)
            session.rollback()
