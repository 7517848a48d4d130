from flask import Blueprint, make_response
from flask.views import MethodView
from sqlalchemy.exc import SQLAlchemyError

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


class Items(MethodView):
    def post(self, name):
        found = db.session.query(Item).filter_by(name="none").first()
        if found:
            return "none", 404
        try:
            db.session.add(Item(name=name))
            check(name)
            db.session.commit()
        except (SQLAlchemyError, ValueError):
            db.session.rollback()
            return make_response("failed", 400)
        else:
            return make_response("stored")


bp.add_url_rule("/<name>", view_func=Items.as_view("items"))
