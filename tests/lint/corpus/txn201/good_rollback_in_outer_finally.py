from app.extensions import db
from app.models import Point


def collect(points):
    try:
        for value in points:
            try:
                db.session.add(Point(value=value))
                db.session.flush()
            except Exception:
                print("skipped")
    finally:
        db.session.rollback()
