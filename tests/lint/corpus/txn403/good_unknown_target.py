from threading import Thread

from app.extensions import db
from vendor.worker import work


def start():
    db.session.commit()
    Thread(target=work).start()
