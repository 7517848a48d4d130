from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.models import Favourite


def favour(user, item):
    db.session.add(Favourite(user=user, item=item))
    try:
        db.session.commit()
    except IntegrityError as error:  # TXN201
        if "unique" not in str(error):
            raise
        item.seen = True
