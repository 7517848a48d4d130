from flask import Blueprint, request
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
bp = Blueprint("users", __name__)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)


@bp.patch("/users/<int:id>")
def change(id):
    user = User.query.filter_by(id=id).first()
    for key, value in request.json.items():
        setattr(user, key, value)  # TXN101
    return "ok"
