"""A staff-roster planner that runs on Flask-SafeSession."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask

from . import api, cli, database, jobs, journal, views
from .extensions import db, safe

__all__ = ["create_app"]


def create_app(config: Mapping[str, object] | None = None) -> Flask:
    """Build the application; *config* wins over the ``FLASK_`` environment variables.

    Without ``SQLALCHEMY_DATABASE_URI`` the rosters live in an SQLite file in the instance folder.
    """
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config or {})
    if not app.config.get("SQLALCHEMY_DATABASE_URI"):
        app.config["SQLALCHEMY_DATABASE_URI"] = database.default_url(app)
    db.init_app(app)
    safe.init_app(app, db)
    database.init_app(app)
    journal.init_app(app)
    jobs.init_app(app)
    app.register_blueprint(api.blueprint)
    app.register_blueprint(views.blueprint)
    cli.init_app(app)
    return app
