from app.extensions import db
from app.log import log
from app.models import Visit
from app.queue import entries


def store(entry):
    db.session.add(Visit(entry))
    db.session.commit()


def work_off(app):
    for entry in entries():
        try:
            with app.app_context():
                store(entry)
        except Exception:
            log.exception("entry %s", entry)
