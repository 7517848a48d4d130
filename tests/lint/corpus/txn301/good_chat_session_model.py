from app.extensions import db


class ChatSession(db.Model):
    __tablename__ = "chat_session"


def start(user_id):
    chat = ChatSession(user_id=user_id)
    db.session.add(chat)
    db.session.commit()
    return chat.id
