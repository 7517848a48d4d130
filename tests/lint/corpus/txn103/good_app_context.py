from app.extensions import db
from app.models import Account


def count(app):
    with app.app_context():
        return db.session.query(Account).count()
