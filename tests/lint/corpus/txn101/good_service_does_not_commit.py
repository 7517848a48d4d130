from app.extensions import db
from app.models import Source


def create(name):
    source = Source(name=name)
    db.session.add(source)
    return source
