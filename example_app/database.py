"""Where the rosters are stored: the default database, SQLite's settings, the tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from sqlalchemy import Engine, event

from .extensions import db

FILE = "roster.db"
READY = "example_app.tables"


def default_url(app: Flask) -> str:
    """Return the URL of the SQLite file: in the instance folder, else in the current folder."""
    folder = Path(app.instance_path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path.cwd()
    if not os.access(folder, os.W_OK):
        folder = Path.cwd()
    return f"sqlite:///{folder / FILE}"


def init_app(app: Flask) -> None:
    """Set up SQLite connections of *app*; other databases need nothing."""
    with app.app_context():
        prepare_sqlite(db.engine)


def prepare_sqlite(engine: Engine) -> None:
    """Turn on the write-ahead log and foreign keys on each new connection of an SQLite *engine*."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)


def _set_pragmas(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def ensure_tables() -> None:
    """Create the tables of the current app that are missing; asks the database once per process."""
    if not current_app.extensions.get(READY):
        db.create_all()
        current_app.extensions[READY] = True
