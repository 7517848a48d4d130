from apscheduler.schedulers.background import BackgroundScheduler

from app.extensions import db
from app.factory import app
from app.models import Snapshot

scheduler = BackgroundScheduler()


def snapshot():
    with app.app_context():
        db.session.add(Snapshot())  # TXN101


scheduler.add_job(snapshot, "interval", hours=1)
