from app.extensions import db
from app.models import Old


def purge(total):
    for start in range(0, total, 500):
        Old.query.filter(Old.id >= start, Old.id < start + 500).delete()
        db.session.commit()
