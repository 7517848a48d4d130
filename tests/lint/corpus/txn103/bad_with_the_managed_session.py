from app.extensions import db
from app.models import Page


def pages():
    with db.session as session:  # TXN103
        return session.query(Page).all()
