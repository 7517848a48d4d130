"""The web app of the shop, which sends tasks."""

import shop
from shop import Product, db
from shop_tasks import celery, restock

from flask_safesession import transactional
from flask_safesession.contrib.celery import init_celery


def create_app(**config):
    app = shop.create_app(SAFESESSION_CELERY_TRANSACTIONAL=True, **config)
    init_celery(celery, app)
    app.add_url_rule("/products/<name>", view_func=add_product, methods=["POST"])
    return app


@transactional
def add_product(name):
    product = Product(name=name)
    db.session.add(product)
    db.session.flush()
    restock.delay_on_commit(product.id, 10)
    return "", 202
