import functools

from flask import request
from flask.views import MethodView
from flask_restful import Resource

from shop.extensions import db
from shop.models import Order


def whole(view):
    @functools.wraps(view)
    def wrapped(*args, **kwargs):
        try:
            result = view(*args, **kwargs)
            db.session.commit()
            return result
        except Exception:
            db.session.rollback()
            raise

    return wrapped


class Base(Resource):
    method_decorators = [whole]


class Orders(Base):
    def post(self):
        db.session.add(Order(number=request.json["number"]))
        return {"status": "accepted"}


class OrderView(MethodView):
    decorators = (whole,)

    def put(self, id):
        db.session.merge(Order(id=id, number=request.json["number"]))
        return {"status": "accepted"}
