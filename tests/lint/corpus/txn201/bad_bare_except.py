from app.extensions import db
from app.models import Visit


def count_visit(page):
    try:
        db.session.add(Visit(page=page))
        db.session.flush()
    except:  # TXN201
        pass
