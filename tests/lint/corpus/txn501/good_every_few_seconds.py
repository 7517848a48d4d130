import time

from app.extensions import db
from app.models import Reading


def smooth_all():
    last = time.monotonic()
    for reading in Reading.query:
        reading.value = round(reading.value, 1)
        if time.monotonic() - last > 5:
            db.session.commit()
            last = time.monotonic()
    db.session.commit()
