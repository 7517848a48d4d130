from flask import Blueprint

from app.extensions import db
from app.models import Domain
from vendor.importer import Importer

bp = Blueprint("domains", __name__)


@bp.route("/domains", methods=["POST"])
def add():
    session = db.session
    session.add(Domain())
    Importer().work(session)
    return ""
