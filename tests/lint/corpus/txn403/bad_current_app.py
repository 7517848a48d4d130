from threading import Thread

from flask import current_app

from app.extensions import mail, db


def send(message):
    current_app.logger.info("sending")
    mail.send(message)


def notify(message):
    db.session.commit()
    Thread(target=send, args=(message,)).start()  # TXN403
