from flask import Blueprint
from flask.views import MethodView
from flask_safesession import transactional

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


def create(name):
    db.session.add(Item(name=name))
    db.session.flush()


def create_all(names):
    for name in names[:-1]:
        db.session.add(Item(name=name))
    db.session.flush()
    check(names[-1])
    create(names[-1])


class Add(MethodView):
    @transactional
    def post(self, name):
        create_all([f"{name} 1", f"{name} 2", name])
        return "", 204


bp.add_url_rule("/<name>", view_func=Add.as_view("add"))
