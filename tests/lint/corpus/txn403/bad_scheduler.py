from apscheduler.schedulers.background import BackgroundScheduler

from app.extensions import db
from app.models import Token

scheduler = BackgroundScheduler()


def purge():
    db.session.query(Token).filter(Token.expired).delete()
    db.session.commit()


def init():
    scheduler.add_job(purge, "interval", hours=1)  # TXN403
