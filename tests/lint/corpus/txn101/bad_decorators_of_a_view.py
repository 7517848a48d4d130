import functools

from flask import request
from flask.views import MethodView

from shop.extensions import db
from shop.models import Order

COMMON = []


def logged(view):
    @functools.wraps(view)
    def wrapped(*args, **kwargs):
        print(view.__name__)
        return view(*args, **kwargs)

    return wrapped


class OrderView(MethodView):
    decorators = [logged]

    def put(self, id):
        db.session.merge(Order(id=id, number=request.json["number"]))  # TXN101
        return {"status": "accepted"}


class ItemView(MethodView):
    decorators = COMMON

    def put(self, id):
        db.session.merge(Order(id=id, number=request.json["number"]))  # TXN101
        return {"status": "accepted"}
