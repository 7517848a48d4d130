from threading import Thread

from app.extensions import db
from app.models import Log


def write(text):
    db.session.add(Log(text=text))
    db.session.commit()


def work(text):
    write(text)


def start(text):
    Thread(target=work, args=(text,)).start()  # TXN403
