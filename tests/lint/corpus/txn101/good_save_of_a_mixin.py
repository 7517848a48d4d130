from flask import Blueprint

from app.extensions import db

bp = Blueprint("topics", __name__)


class Topic(db.Model):
    __tablename__ = "topic"

    def save(self):
        db.session.add(self)
        db.session.commit()


@bp.route("/topics", methods=["POST"])
def create():
    db.session.add(Topic())
    Topic().save()
    return ""
