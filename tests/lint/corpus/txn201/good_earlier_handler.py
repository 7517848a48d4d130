import logging

from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from app.models import Mail


def send(mail: Mail):
    try:
        mail.send()
        db.session.add(mail)
        db.session.commit()
    except SQLAlchemyError:
        db.session.rollback()
    except Exception:
        logging.exception("mail")
