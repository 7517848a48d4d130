"""The place where the code of a page runs: an empty folder, a database, and the modules of the examples."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from redis import Redis
from sqlalchemy import Engine, make_url

from tests.conftest import Wanted
from tests.databases import Database

from .pages import EXAMPLES

_SCHEMA = "docs_examples"


@pytest.fixture
def example_database(request: pytest.FixtureRequest, wanted: Wanted) -> Iterator[str]:
    """The URL of an empty database: an SQLite file, or PostgreSQL if the parameter says so."""
    if getattr(request, "param", None) != "postgresql":
        yield wanted.get("sqlite-file").url
        return
    database = wanted.get("postgresql-psycopg")
    _administer(database, f"CREATE SCHEMA {_SCHEMA}")
    try:
        url = make_url(database.url).update_query_dict({"options": f"-csearch_path={_SCHEMA}"})
        yield url.render_as_string(hide_password=False)
    finally:
        _administer(database, f"DROP SCHEMA {_SCHEMA} CASCADE")


def _administer(database: Database, statement: str) -> None:
    assert database.observer is not None
    with database.observer.connect() as connection:
        connection.exec_driver_sql(statement)


@pytest.fixture
def example_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Redis in which the page uses the queue ``safesession-docs`` alone."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    yield
    with Redis.from_url(redis_url) as redis:
        for registry in redis.scan_iter("rq:finished:safesession-docs"):
            redis.delete(*(f"rq:job:{each.decode()}" for each in redis.zrange(registry, 0, -1)))
        for key in redis.scan_iter("*safesession-docs*"):
            redis.delete(key)


@pytest.fixture
def apps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Flask]]:
    """The apps that are made during the test; their engines are disposed of after it."""
    apps: list[Flask] = []
    make = Flask.__init__

    def remember(app: Flask, *args: Any, **kwargs: Any) -> None:
        apps.append(app)
        make(app, *args, **kwargs)

    monkeypatch.setattr(Flask, "__init__", remember)
    yield apps
    engines = [engine for app in apps for engine in _engines(app)]
    left = [engine.pool.status() for engine in engines if _held(engine)]
    for engine in engines:
        engine.dispose()
    assert left == []


@pytest.fixture
def bench(
    example_database: str, apps: list[Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """An empty working directory, from which the modules of the examples can be imported."""
    monkeypatch.setenv("DATABASE_URL", example_database)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(EXAMPLES)):
            del sys.modules[name]


def _engines(app: Flask) -> list[Engine]:
    db = app.extensions.get("sqlalchemy")
    if db is None:
        return []
    if isinstance(db, SQLAlchemy):
        return list(db._app_engines[app].values())
    with app.app_context():
        return list(db.engines.values())


def _held(engine: Engine) -> bool:
    checkedout = getattr(engine.pool, "checkedout", None)
    return checkedout is not None and checkedout() > 0
