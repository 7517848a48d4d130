from app.database import SessionLocal
from app.metrics import started
from app.models import User


def emails():
    session = SessionLocal()
    started("emails")
    try:
        return [user.email for user in session.query(User)]
    finally:
        session.close()
