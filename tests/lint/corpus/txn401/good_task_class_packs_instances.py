"""The project's own task class replaces each instance by its key on the way into the queue."""

from celery import Celery, Task
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class PackingTask(Task):
    def apply_async(self, args=None, kwargs=None, **options):
        return super().apply_async([(type(each), each.id) for each in args], kwargs, **options)


celery = Celery(task_cls=PackingTask)


class Report(db.Model):
    id = db.Column(db.Integer, primary_key=True)


@celery.task
def render(report):
    print(report)


def order_report():
    report = Report()
    db.session.add(report)
    db.session.commit()
    render.delay(report)
