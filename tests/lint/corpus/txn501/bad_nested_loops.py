from app.extensions import db
from app.models import Flag


def load(challenges):
    for challenge in challenges:
        for flag in challenge.flags:
            db.session.add(Flag(content=flag))
            db.session.commit()  # TXN501
