from app.extensions import db
from app.models import Setting


def update(settings):
    for key, value in settings.items():
        setting = db.session.get(Setting, key)
        setting.value = value
        db.session.add(setting)
        db.session.commit()  # TXN501
