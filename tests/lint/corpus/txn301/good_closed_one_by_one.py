from app.database import SessionLocal
from app.models import Line


def warm(number):
    sessions = [SessionLocal() for _ in range(number)]
    try:
        for session in sessions:
            session.get(Line, 1)
    finally:
        for session in sessions:
            session.close()
