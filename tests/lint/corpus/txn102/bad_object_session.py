from sqlalchemy.orm import object_session

from app.models import Setting


def make_default(setting: Setting):
    session = object_session(setting)
    session.query(Setting).update({"default": False})
    setting.default = True
    session.commit()  # TXN102
