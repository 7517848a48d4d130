from flask import g

from app.extensions import db


def attach():
    try:
        db.session.add(g.user)
    except Exception:
        print("no user")
