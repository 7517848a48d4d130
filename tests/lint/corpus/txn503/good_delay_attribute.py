from app.extensions import db
from app.models import Alarm


def set_alarm(seconds):
    alarm = Alarm(delay=seconds)
    db.session.add(alarm)
    print(alarm.delay)
    db.session.commit()
