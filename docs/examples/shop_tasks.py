"""The Celery app of the shop and its tasks; it knows no Flask app, so that the web app can import it."""

import os

from celery import Celery
from shop import Product, db

celery = Celery(
    "shop_tasks", broker=os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0")
)
celery.conf.task_ignore_result = True


@celery.task
def restock(product_id, amount):
    db.session.get_one(Product, product_id).stock += amount
