from flask import Blueprint, jsonify

from app.extensions import db
from app.models import Order

bp = Blueprint("orders", __name__)


@bp.post("/orders")
def create():
    order = Order()
    db.session.add(order)  # TXN101
    db.session.flush()
    return jsonify(id=order.id)
