from functools import wraps

from flask import Blueprint

from app.extensions import db
from app.models import Comment

bp = Blueprint("comments", __name__)


def in_one_go(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        try:
            result = function(*args, **kwargs)
            db.session.commit()
            return result
        except BaseException:
            db.session.rollback()
            raise

    return wrapper


@bp.route("/comments", methods=["POST"])
@in_one_go
def create():
    db.session.add(Comment())
    return "", 201
