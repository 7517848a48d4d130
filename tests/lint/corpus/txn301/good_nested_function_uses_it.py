from app.database import SessionLocal
from app.models import Message


def reader():
    session = SessionLocal()

    def read(message_id):
        return session.get(Message, message_id)

    return read, session.close
