from flask import Blueprint, jsonify
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


class Items:
    @staticmethod
    def store(session, name):
        try:
            session.add(Item(name=name))
            check(name)
            session.commit()
        except Exception:
            session.rollback()
            raise


def store_both(session: Session, name):
    Items.store(session, f"{name} 1")
    Items.store(session, name)


@bp.post("/<name>")
def add(name):
    try:
        store_both(db.session, name)
    except IntegrityError:
        db.session.rollback()
        return jsonify(error="exists"), 409
    except ValueError as error:
        return jsonify(error=str(error)), 400
    return jsonify(stored=name), 201


@bp.put("/<name>")
def put(name):
    Items.store(db.session, name)
    db.session.commit()
    return ""
