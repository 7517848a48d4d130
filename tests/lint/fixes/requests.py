"""Sends a request to the views of a pair, on an SQLite database, and says what came of it."""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from sqlalchemy import select

from flask_safesession import SafeSession

from .outcomes import Outcome, module_of
from .store.shop import Item, db

__all__ = ["answer", "make_app"]


def answer(code: str, name: str, folder: Path, *, safe: bool) -> Outcome:
    """Post *name* to the blueprint of the module *code*, with the extension if *safe*; an item ``taken`` is stored."""
    app = make_app(folder, safe=safe)
    with module_of(code) as module:
        app.register_blueprint(module.bp)
        response = app.test_client().post(f"/{name}")
    return Outcome((response.status_code, response.text), *stored(app))


def make_app(folder: Path, *, safe: bool) -> Flask:
    """Return an app with an empty table, but for the item ``taken``."""
    app = Flask("store")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder / 'shop.db'}"
    db.init_app(app)
    if safe:
        SafeSession(app, db)
    with app.app_context():
        db.drop_all()
        db.create_all()
        db.session.add(Item(name="taken"))
        db.session.commit()
    return app


def stored(app: Flask) -> tuple[tuple[str, ...], int]:
    """Return the names that are stored, and how many connections were out of the pool."""
    with app.app_context():
        held = db.engine.pool.checkedout()  # type: ignore[attr-defined]
        rows = tuple(sorted(db.session.scalars(select(Item.name))))
        db.session.remove()
        db.engine.dispose()
    return rows, held
