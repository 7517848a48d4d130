from flask import Blueprint, request

from app.forms import UserForm
from app.models import User, db

bp = Blueprint("users", __name__)


@bp.patch("/users/<int:id>")
def preview(id):
    form = UserForm(obj=db.session.get(User, id))
    total = db.session.scalar("select 1")
    for key, value in request.json.items():
        setattr(form, key, value)
        setattr(total, key, value)
        setattr(UserForm(), key, value)
    return form.render()


@bp.patch("/users/<int:id>/name")
def rename(id):
    user = db.session.get(User, id)
    for key, value in request.json.items():
        setattr(user, key, value)
    db.session.commit()
    return "ok"
