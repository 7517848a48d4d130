from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from app.models import Setting


def write(key, value):
    setting = db.session.get(Setting, key)
    setting.value = value
    try:
        db.session.commit()
    except SQLAlchemyError as error:  # TXN201
        return {"error": str(error)}
    return {"ok": True}
