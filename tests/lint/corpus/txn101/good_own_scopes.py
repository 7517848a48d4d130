"""Every scope of this package commits by itself."""

from flask import Flask
from flask_safesession import (
    AppContextManager,
    SafeSession,
    attempts,
    run_in_phases,
    session_manager,
)
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
app = Flask(__name__)
safe = SafeSession(app, db)


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def add_item():
    db.session.add(Item())


def record(session, result):
    session.add(Item())


@app.post("/attempts")
def in_attempts():
    for attempt in attempts():
        with attempt as session:
            session.add(Item())
    return "", 201


@app.post("/own-attempts")
def in_attempts_of_the_app():
    for attempt in safe.attempts():
        with attempt:
            add_item()
    return "", 201


@app.post("/run")
def in_run():
    safe.run(add_item, retry=True)
    return "", 201


@app.post("/phases")
def in_phases():
    run_in_phases(lambda session: None, lambda nothing: None, record)
    return "", 201


@app.post("/context")
def in_context():
    with AppContextManager(app, transactional=True):
        db.session.add(Item())
    return "", 201


@app.post("/decorated")
@safe.transactional(retry=True)
def decorated():
    db.session.add(Item())
    return "", 201


@app.post("/async")
async def in_async_block():
    async with session_manager() as session:
        session.add(Item())
    return "", 201
