from app.extensions import db
from app.models import Source


def delete(source: Source):
    db.session.delete(source)
    db.session.commit()
