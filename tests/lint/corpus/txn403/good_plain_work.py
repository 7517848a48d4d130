from threading import Thread

from app.extensions import db, mail


def send(message):
    mail.send(message)


def notify(message):
    db.session.commit()
    Thread(target=send, args=(message,)).start()
