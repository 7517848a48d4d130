"""The thread owns the session that 'handoff()' gave to it."""

import threading

from flask_safesession import handoff
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


def bake(app, session):
    with app.app_context(), session:
        session.commit()


def start(app):
    session = db.session()
    handoff(session)
    threading.Thread(target=bake, args=(app, session)).start()
