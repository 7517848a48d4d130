from flask import Blueprint

from app.database import SessionLocal
from app.models import Shelf

bp = Blueprint("shelves", __name__)
session = SessionLocal()


@bp.route("/shelves", methods=["POST"])
def create():
    session.add(Shelf())
    session.commit()  # TXN202
    return ""
