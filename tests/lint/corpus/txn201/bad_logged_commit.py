import logging

from app.extensions import db
from app.models import Task

log = logging.getLogger(__name__)


def finish(task_id):
    try:
        db.session.get(Task, task_id).done = True
        db.session.commit()
    except Exception:  # TXN201
        log.exception("could not finish %s", task_id)
