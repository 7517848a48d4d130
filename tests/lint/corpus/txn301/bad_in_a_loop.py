from app.database import SessionLocal
from app.models import Reading


def store(readings):
    for value in readings:
        session = SessionLocal()  # TXN301
        session.add(Reading(value=value))
        session.commit()
