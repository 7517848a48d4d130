from app.extensions import db
from app.models import Vote


def vote(user, option):
    with db.session.begin():  # TXN103
        db.session.add(Vote(user=user, option=option))
