from app.extensions import db
from app.models import Setting


def write(requests: dict):
    setting = db.session.get(Setting, "limit")
    setting.value = requests.get("limit")
    db.session.commit()
