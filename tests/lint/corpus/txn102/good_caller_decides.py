from sqlalchemy.orm import Session

from app.models import Log


def write(session: Session, text: str, commit: bool = True):
    session.add(Log(text=text))
    if commit:
        session.commit()
