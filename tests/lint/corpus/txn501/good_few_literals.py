from app.extensions import db
from app.models import Role


def seed():
    for name in ("admin", "editor", "reader"):
        db.session.add(Role(name=name))
        db.session.commit()
