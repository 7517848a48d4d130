from flask import Blueprint, render_template
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from app.auth import current_user, find_user
from app.engine import engine

db = SQLAlchemy()
bp = Blueprint("users", __name__)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String)
    hidden = False

    @property
    def title(self):
        return self.name

    @title.setter
    def title(self, value):
        self.name = value


@bp.route("/users/<int:number>")
def show(number):
    user = User.query.get_or_404(number)
    user.name = user.name.title()
    return render_template("user.html", user=user)


@bp.post("/users/<int:number>")
def rename(number):
    user = User.query.get_or_404(number)
    user.name = "x"
    db.session.commit()
    return ""


@bp.post("/users")
def others(number):
    user = User.query.get_or_404(number)
    user.hidden = True
    user.title = "x"
    user.note = "x"
    made = User()
    made.name = "x"
    current_user.name = "x"
    find_user(number).name = "x"
    found = find_user(number)
    found.name = "x"
    rows = dict(db.session.execute(db.text("SELECT 1")))
    rows.name = "x"
    rows["x"] = db.session.execute(db.text(number))
    return ""


@bp.post("/users/preview")
def preview(number):
    user = User.query.get_or_404(number)
    db.session.expunge(user)
    user.name = "x"
    return render_template("user.html", user=user)


@bp.post("/users/scope")
def scope(number):
    with Session(engine) as session, session.begin():
        session.get(User, number).name = "x"
    return ""


@bp.post("/users/<int:number>/statement")
def statement(number):
    sql = db.text(number)
    rows = db.session.execute(sql)
    db.session.execute(number)
    found = db.get_or_404(User, number)
    return f"{rows} {found}"
