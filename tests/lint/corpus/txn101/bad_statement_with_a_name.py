from flask import Blueprint
from sqlalchemy import text, update

from app.extensions import db
from app.models import Order

bp = Blueprint("orders", __name__)


@bp.post("/orders/close")
def close():
    statement = update(Order).values(state="closed")
    db.session.execute(statement)  # TXN101
    return ""


@bp.post("/orders/open")
def reopen():
    sql = text("UPDATE orders SET state = 'open'")
    db.session.execute(sql)  # TXN101
    return ""
