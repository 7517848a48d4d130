from app.work import Thread as T
from app.models import db


def job():
    db.session.execute(db.text("select 1"))


def start():
    T(target=job).start()
