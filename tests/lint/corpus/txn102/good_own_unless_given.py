from app.database import SessionLocal
from app.models import Log


def write(text, session=None):
    session = session or SessionLocal()
    session.add(Log(text=text))
    session.commit()
