"""The session is closed by the inner 'finally' before the handler starts."""

from app.database import SessionLocal
from app.models import Phrase


def rank(number):
    try:
        session = SessionLocal()
        try:
            phrase = session.get(Phrase, number)
            phrase.rank = 1
            session.commit()
        finally:
            session.close()
    except Exception:
        return None
    return number
