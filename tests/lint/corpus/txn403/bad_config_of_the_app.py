from threading import Thread

from flask import current_app

from app.extensions import db


def send(message):
    server = current_app.config["MAIL_SERVER"]
    print(server, message)


def notify(message):
    db.session.commit()
    Thread(target=send, args=(message,)).start()  # TXN403
