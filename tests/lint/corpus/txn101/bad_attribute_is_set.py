from celery import shared_task
from flask import Blueprint
from flask.views import MethodView
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

db = SQLAlchemy()
bp = Blueprint("users", __name__)


class User(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name = db.Column(db.String)
    visits: Mapped[int]


@bp.route("/users/<int:number>", methods=["GET", "POST"])
def rename(number):
    user = User.query.get_or_404(number)
    user.name = "x"  # TXN101
    return ""


@bp.post("/users/<int:number>/visits")
def visit(number):
    user = db.session.get(User, number)
    user.visits += 1  # TXN101
    return ""


@shared_task
def reset():
    for user in db.session.scalars(select(User)):
        user.visits = 0  # TXN101


class Users(MethodView):
    def put(self, number):
        db.session.get(User, number).name = "x"  # TXN101


@bp.patch("/users/<int:number>")
def change(number):
    user = db.get_or_404(User, number)
    user.name = "x"  # TXN101
    return ""


@bp.delete("/users")
def empty():
    for user in db.paginate(select(User)):
        user.name = ""  # TXN101
    return ""
