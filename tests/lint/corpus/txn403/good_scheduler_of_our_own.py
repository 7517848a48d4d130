from apscheduler.schedulers.background import BackgroundScheduler
from flask_safesession.contrib.apscheduler import init_scheduler

from app.extensions import db
from app.models import Visit

scheduler = BackgroundScheduler()


def purge():
    db.session.query(Visit).filter(Visit.old).delete()
    db.session.commit()


def start(app):
    init_scheduler(scheduler, app)
    scheduler.add_job(purge, "interval", hours=1)
    scheduler.start()
