from app.database import SessionLocal
from app.models import User


def emails():
    session = SessionLocal()
    try:
        return [user.email for user in session.query(User)]
    finally:
        session.close()
