from app.database import SessionLocal
from app.models import Line


def finish(session):
    session.close()


def count():
    session = SessionLocal()
    try:
        return session.query(Line).count()
    finally:
        finish(session)
