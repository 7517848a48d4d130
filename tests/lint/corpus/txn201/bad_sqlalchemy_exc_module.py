from sqlalchemy import exc

from app.extensions import db
from app.models import Token


def drop_expired(now):
    try:
        db.session.query(Token).filter(Token.expires < now).delete()
        db.session.commit()
    except exc.OperationalError:  # TXN201
        print("settings database is not writeable")
