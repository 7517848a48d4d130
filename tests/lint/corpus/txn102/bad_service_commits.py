from sqlalchemy.orm import Session

from app.models import Event


def log_event(session: Session, kind: str) -> Event:
    event = Event(kind=kind)
    session.add(event)
    session.commit()  # TXN102
    return event
