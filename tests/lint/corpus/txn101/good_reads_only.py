from flask import Blueprint, jsonify

from app.extensions import db
from app.models import Item

bp = Blueprint("items", __name__)


@bp.route("/items")
def items():
    return jsonify([item.name for item in db.session.query(Item)])
