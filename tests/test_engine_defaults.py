"""The engines get better defaults where the app asked for nothing, and what it asked for elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flask_sqlalchemy_lite
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, NullPool, StaticPool, select

from flask_safesession import SafeSession

DEFAULTS = (10, 20, 30, 3600, True)


def figures(engine: Engine) -> tuple[Any, ...]:
    """The size, overflow, timeout, recycling and pre-ping of a pool."""
    pool: Any = engine.pool
    return pool.size(), pool._max_overflow, pool._timeout, pool._recycle, pool._pre_ping


def make_app(**config: Any) -> Flask:
    app = Flask("defaults")
    app.config.update(config)
    return app


def engines(app: Flask, db: SQLAlchemy) -> dict[str | None, Engine]:
    """The engines of an app whose extension comes first."""
    SafeSession(app)
    db.init_app(app)
    with app.app_context():
        return dict(db.engines)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'a.db'}"


def test_an_app_that_set_nothing(url: str) -> None:
    """Stock engines have 5 + 10 connections, keep them for ever and do not test them."""
    found = engines(make_app(SQLALCHEMY_DATABASE_URI=url), SQLAlchemy())
    assert figures(found[None]) == DEFAULTS


@pytest.mark.parametrize("server", ["postgresql+psycopg://h/d", "mysql+pymysql://h/d"])
def test_an_app_on_a_server(server: str) -> None:
    """So do those of servers; Flask-SQLAlchemy itself recycles MariaDB's after 7200 s."""
    found = engines(make_app(SQLALCHEMY_DATABASE_URI=server), SQLAlchemy())
    recycle = 7200 if server.startswith("mysql") else 3600
    assert figures(found[None]) == (10, 20, 30, recycle, True)


def test_what_the_app_set_stays(url: str) -> None:
    """The app's own figures count, also those that are stock ones, and ``False``."""
    options = {"pool_size": 5, "pool_timeout": 7, "pool_pre_ping": False}
    app = make_app(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_ENGINE_OPTIONS=options)
    assert figures(engines(app, SQLAlchemy())[None]) == (5, 20, 7, 3600, False)
    assert options == {"pool_size": 5, "pool_timeout": 7, "pool_pre_ping": False}


def test_what_the_extension_object_set_stays(url: str) -> None:
    """``SQLAlchemy(engine_options=…)`` is the app's word as well."""
    db = SQLAlchemy(engine_options={"pool_size": 3, "max_overflow": 0})
    assert figures(engines(make_app(SQLALCHEMY_DATABASE_URI=url), db)[None])[:2] == (3, 0)


def test_binds_get_them_too(url: str) -> None:
    """Each of several databases, whether it is given as a URL or as a dict."""
    binds = {"plain": url, "own": {"url": url, "pool_size": 2}}
    app = make_app(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_BINDS=binds)
    found = engines(app, SQLAlchemy())
    assert figures(found["plain"]) == DEFAULTS
    assert figures(found["own"]) == (2, *DEFAULTS[1:])
    assert binds == {"plain": url, "own": {"url": url, "pool_size": 2}}


def test_the_plug_ins_of_the_app_stay(url: str) -> None:
    """Another plug-in of the app is loaded as well."""
    options = {"plugins": ["flask_safesession"]}
    app = make_app(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_ENGINE_OPTIONS=options)
    assert figures(engines(app, SQLAlchemy())[None]) == DEFAULTS
    assert options == {"plugins": ["flask_safesession"]}


@pytest.mark.parametrize(
    ("address", "options", "pool"),
    [
        ("sqlite://", {}, StaticPool),
        ("sqlite:///a.db", {"poolclass": NullPool}, NullPool),
    ],
)
def test_other_pools_keep_working(
    address: str, options: dict[str, Any], pool: type, tmp_path: Path
) -> None:
    """They take no size, so that a larger one given to ``create_engine`` would be an error."""
    app = Flask("defaults", instance_path=str(tmp_path))
    app.config.update(SQLALCHEMY_DATABASE_URI=address, SQLALCHEMY_ENGINE_OPTIONS=options)
    db = SQLAlchemy()
    (engine,) = engines(app, db).values()
    assert isinstance(engine.pool, pool)
    with app.app_context():
        assert db.session.scalar(select(1)) == 1
    engine.dispose()


def test_lite_gets_them_too(url: str) -> None:
    """Flask-SQLAlchemy-Lite's engines are made from another setting."""
    app = make_app(SQLALCHEMY_ENGINES={"default": url})
    db = flask_sqlalchemy_lite.SQLAlchemy()
    SafeSession(app, db)
    db.init_app(app)
    with app.app_context():
        assert figures(db.engine) == DEFAULTS


def test_a_database_that_came_first_is_left_alone(url: str) -> None:
    """Its engines are made, and its settings stay what they were."""
    app = make_app(SQLALCHEMY_DATABASE_URI=url)
    db = SQLAlchemy(app)
    before = dict(app.config)
    SafeSession(app, db)
    with app.app_context():
        assert figures(db.engine) == (5, 10, 30, -1, False)
    assert dict(app.config) == before
