from app.database import SessionLocal
from app.models import User


def users(session=None):
    with session or SessionLocal() as own:
        return own.query(User).all()
