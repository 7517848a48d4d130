from http import HTTPStatus

from flask import Blueprint, abort, current_app, jsonify
from sqlalchemy.exc import IntegrityError

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
def add(name):
    try:  # both may fail
        check(name)
        item = Item(name=name)
        db.session.add(item)
        db.session.commit()
        answer = jsonify({"id": item.id})
        return answer, HTTPStatus.CREATED
    except ValueError as error:
        # Nothing was sent.
        db.session.rollback()
        return jsonify(error=str(error)), HTTPStatus.BAD_REQUEST
    except IntegrityError:
        db.session.rollback()
        abort(409, "exists")
    except Exception as error:
        db.session.rollback()
        current_app.logger.exception("failed")
        return {"error": str(error)}, 500
