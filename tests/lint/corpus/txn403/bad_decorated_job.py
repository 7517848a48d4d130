from flask_apscheduler import APScheduler

from app.extensions import db
from app.models import Token

scheduler = APScheduler()


@scheduler.task("interval", hours=1)  # TXN403
def purge():
    db.session.query(Token).filter(Token.expired).delete()
    db.session.commit()
