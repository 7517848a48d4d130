from celery import Celery, Task

from shop.app import app
from shop.extensions import db
from shop.models import Order


class ContextTask(Task):
    def __call__(self, *args, **kwargs):
        with app.app_context():
            try:
                result = self.run(*args, **kwargs)
                db.session.commit()
                return result
            except Exception:
                db.session.rollback()
                raise


celery = Celery("shop", task_cls=ContextTask)


@celery.task
def import_order(number):
    db.session.add(Order(number=number))
