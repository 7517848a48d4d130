from app.extensions import db
from app.models import Task


def remind(now):
    for task in Task.query.all():
        task.reminded_at = now
        db.session.commit()  # TXN501
