from flask import Blueprint, jsonify
from flask_safesession import transactional
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


class Items:
    @staticmethod
    def store(session, name):
        session.add(Item(name=name))
        check(name)
        session.flush()


def store_both(session: Session, name):
    Items.store(session, f"{name} 1")
    Items.store(session, name)


@bp.post("/<name>")
@transactional
def add(name):
    try:
        store_both(db.session, name)
    except IntegrityError:
        return jsonify(error="exists"), 409
    except ValueError as error:
        return jsonify(error=str(error)), 400
    return jsonify(stored=name), 201


@bp.put("/<name>")
@transactional
def put(name):
    Items.store(db.session, name)
    return ""
