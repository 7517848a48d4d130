from app.extensions import db
from app.models import Old


def purge():
    while True:
        rows = Old.query.limit(1000).all()
        if not rows:
            break
        for row in rows:
            db.session.delete(row)
        db.session.commit()
