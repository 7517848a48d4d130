from app.extensions import db
from app.models import Message


def say(socket, text):
    db.session.add(Message(text=text))
    socket.send(text)
    db.session.commit()
