from app.database import SessionLocal
from app.models import User


def users(session=SessionLocal()):  # TXN302
    return session.query(User).all()
