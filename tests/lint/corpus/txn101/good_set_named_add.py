from flask import Blueprint, session

bp = Blueprint("basket", __name__)


@bp.route("/basket")
def basket():
    seen = set()
    seen.add(session.get("id"))
    return ",".join(seen)
