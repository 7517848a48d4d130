from celery import Celery, Task

from shop.app import app
from shop.extensions import db
from shop.models import Order


class ContextTask(Task):
    def __call__(self, *args, **kwargs):
        with app.app_context():
            return self.run(*args, **kwargs)


class Importer:
    def __call__(self):
        db.session.commit()


celery = Celery("shop", task_cls=ContextTask)


@celery.task
def import_order(number):
    db.session.add(Order(number=number))  # TXN101
