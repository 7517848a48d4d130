from contextlib import closing

from app.database import SessionLocal
from app.models import Line


def lines():
    with closing(SessionLocal()) as session:
        return session.query(Line).count()
