from flask import Blueprint

from app.store import session_commit
from app.extensions import db
from app.models import Domain

bp = Blueprint("domains", __name__)


@bp.route("/domains", methods=["POST"])
def add():
    db.session.add(Domain())
    session_commit("domain added")
    return ""
