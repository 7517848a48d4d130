from flask import current_app

from app.extensions import db
from app.models import Task


def launch(user, name):
    job = current_app.task_queue.enqueue(f"app.tasks.{name}", user.id)  # TXN503
    task = Task(id=job.get_id(), name=name)
    db.session.add(task)
    return task
