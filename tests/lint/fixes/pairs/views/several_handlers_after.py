from http import HTTPStatus

from flask import Blueprint, abort, current_app, jsonify
from flask_safesession import transactional
from sqlalchemy.exc import IntegrityError

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
@transactional
def add(name):
    try:  # both may fail
        check(name)
        item = Item(name=name)
        db.session.add(item)
        db.session.flush()
        answer = jsonify({"id": item.id})
        return answer, HTTPStatus.CREATED
    except ValueError as error:
        # Nothing was sent.
        return jsonify(error=str(error)), HTTPStatus.BAD_REQUEST
    except IntegrityError:
        abort(409, "exists")
    except Exception as error:
        current_app.logger.exception("failed")
        return {"error": str(error)}, 500
