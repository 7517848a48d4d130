from app.database import SessionLocal
from app.models import Message


def unread(user_id):
    session = SessionLocal()
    with session:
        return session.query(Message).filter_by(user_id=user_id).count()
