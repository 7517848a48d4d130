import logging

from app.database import SessionLocal
from app.models import Signal


def process(signal_id):
    try:
        with SessionLocal() as session:
            session.get(Signal, signal_id).process()
            session.commit()
    except Exception:
        logging.exception("signal %s failed", signal_id)
