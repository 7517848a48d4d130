"""A small Flask app with asynchronous sessions on a real database."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import flask_sqlalchemy
import flask_sqlalchemy_lite
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import URL, Engine, event, func, make_url, select
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from flask_safesession import SafeSession, current_scope, session_manager
from flask_safesession._async.sources import async_source
from flask_safesession._state import STATE

from ...databases import Database
from ...kit import Models, make_models

DRIVERS: Final = {
    "aiosqlite": ("sqlite-file", "sqlite+aiosqlite"),
    "asyncpg": ("postgresql-psycopg", "postgresql+asyncpg"),
    "psycopg": ("postgresql-psycopg", "postgresql+psycopg"),
    "asyncmy": ("mariadb-pymysql", "mysql+asyncmy"),
    "aiomysql": ("mariadb-pymysql", "mysql+aiomysql"),
}
"""Each driver with the database that it is tested on, and its name in a URL."""

MAIN: Final = ("aiosqlite", "asyncpg", "asyncmy")
"""One driver for each of the three databases."""


Flavour = Literal["flask-sqlalchemy", "lite", "sessionmaker"]
FLAVOURS: Final[tuple[Flavour, ...]] = ("flask-sqlalchemy", "lite", "sessionmaker")


@dataclass
class AsyncKit:
    """An app with asynchronous sessions, by default those of an ``async_sessionmaker``."""

    app: Flask
    safe: SafeSession
    database: Database
    engines: tuple[AsyncEngine, ...]
    db: Any
    models: Models

    @property
    def engine(self) -> AsyncEngine:
        """The engine of the main database."""
        return self.engines[0]

    @property
    def factory(self) -> async_sessionmaker[AsyncSession]:
        """The ``async_sessionmaker`` of a kit that has its sessions from one."""
        assert isinstance(self.db, async_sessionmaker)
        return self.db

    @property
    def Item(self) -> Any:  # noqa: N802 - a class
        """The mapped class of the table ``item``."""
        return self.models.Item

    @property
    def Other(self) -> Any:  # noqa: N802 - a class
        """The mapped class of the table ``other``, in the second database if the kit has binds."""
        return self.models.Other

    @property
    def Parent(self) -> Any:  # noqa: N802 - a class
        """The mapped class of the table ``parent``."""
        return self.models.Parent

    @property
    def LateChild(self) -> Any:  # noqa: N802 - a class
        """The mapped class of the table ``late_child``, whose key is checked at COMMIT."""
        return self.models.LateChild

    @property
    def client(self) -> FlaskClient:
        """A new test client."""
        return self.app.test_client()

    def names(self) -> list[str]:
        """Return the names of the stored items, sorted, read through another connection."""
        return _names(self.database.observer, "item")

    def other_names(self) -> list[str]:
        """Return the names of the stored rows of ``Other``, as ``names()`` does for ``Item``."""
        database = self.database
        has_binds = len(self.engines) > 1
        return _names(database.second_observer if has_binds else database.observer, "other")

    def count(self, model: Any) -> int:
        """Return how many rows of *model* are stored, read as ``names()`` reads."""
        assert self.database.observer is not None
        with self.database.observer.connect() as connection:
            return connection.scalar(select(func.count()).select_from(model.__table__)) or 0

    def checkedout(self) -> int:
        """Return how many connections are out of the pools."""
        pools = [each.pool for each in self.engines]
        return sum(each.checkedout() for each in pools if isinstance(each, QueuePool))

    async def dispose(self) -> None:
        """Close the pooled connections."""
        for engine in self.engines:
            await engine.dispose()


async def current_session() -> AsyncSession:
    """The session that code of this task works with now, as ``db.session`` is in synchronous code."""
    async with session_manager(propagation="supports") as session:
        return session


def current() -> Any:
    """The open scope."""
    scope = current_scope()
    assert scope is not None
    return scope


def make_async_kit(
    database: Database,
    driver: str,
    flavour: Flavour = "sessionmaker",
    *,
    binds: bool = False,
    options: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    engine_options: dict[str, Any] | None = None,
) -> AsyncKit:
    """Make an app on *database*; the other arguments are those of ``tests.kit.make_kit``."""
    urls = (database.url, database.second_url) if binds else (database.url,)
    given = {**_engine_defaults(driver), **(engine_options or {})}
    app = Flask("async_kit")
    app.config.update(TESTING=True, SECRET_KEY="kit")
    app.config.update(_flavour_config(flavour, urls, DRIVERS[driver][1], given))
    app.config.update(config or {})
    models = make_models(database.dialect, binds)
    db = _make_db(flavour, models, [_async_url(url, driver) for url in urls], given)
    if flavour != "sessionmaker":
        db.init_app(app)
    safe = SafeSession(app, db=db, **(options or {}))
    with app.app_context():
        engines = tuple(async_source(app.extensions[STATE]).outer.values())
    for engine in engines if driver == "aiosqlite" else ():
        event.listen(engine.sync_engine, "connect", _enforce_foreign_keys)
    return AsyncKit(app, safe, database, engines, db, models)


def _names(observer: Engine | None, table: str) -> list[str]:
    assert observer is not None
    with observer.connect() as connection:
        return sorted(connection.exec_driver_sql(f"SELECT name FROM {table}").scalars())


def _async_url(url: str, driver: str) -> URL:
    return make_url(url).set(drivername=DRIVERS[driver][1])


def _engine_defaults(driver: str) -> dict[str, Any]:
    defaults: dict[str, Any] = {"pool_size": 5, "pool_timeout": 2}
    if driver == "aiosqlite":
        defaults["connect_args"] = {"timeout": 1}
        defaults["poolclass"] = AsyncAdaptedQueuePool  # SQLAlchemy 2.0.36 takes none for files
    return defaults


def _flavour_config(
    flavour: Flavour, urls: Sequence[str], drivername: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    asynchronous = [{"url": make_url(url).set(drivername=drivername), **given} for url in urls]
    if flavour == "lite":
        names = ("default", "second")
        return {
            "SQLALCHEMY_ENGINES": dict(zip(names, urls, strict=False)),
            "SQLALCHEMY_ASYNC_ENGINES": dict(zip(names, asynchronous, strict=False)),
        }
    if flavour == "sessionmaker":
        return {}
    return {
        "SQLALCHEMY_DATABASE_URI": urls[0],
        "SQLALCHEMY_BINDS": dict(zip(("second",), urls[1:], strict=False)),
        "SAFESESSION_ASYNC_ENGINES": dict(zip((None, "second"), asynchronous, strict=False)),
    }


def _make_db(
    flavour: Flavour, models: Models, urls: Sequence[URL], given: Mapping[str, Any]
) -> Any:
    if flavour == "flask-sqlalchemy":
        return flask_sqlalchemy.SQLAlchemy()
    if flavour == "lite":
        # Its blocking sessions want an engine for each bind as well.
        binds = {"binds": {models.Other: "second"}} if len(urls) > 1 else {}
        return flask_sqlalchemy_lite.SQLAlchemy(session_options=binds)
    engines = [create_async_engine(url, **given) for url in urls]
    return async_sessionmaker(engines[0], binds={models.Other: engines[-1]})


def _enforce_foreign_keys(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA foreign_keys=ON")


async def driver_connection(given: AsyncSession | AsyncConnection) -> Any:
    """The connection of the driver itself, of which no layer above hears what is done to it."""
    connection = await given.connection() if isinstance(given, AsyncSession) else given
    return (await connection.get_raw_connection()).driver_connection


async def close_underneath(given: AsyncSession | AsyncConnection) -> None:
    """Close the connection past everything that would hear of it."""
    closing = (await driver_connection(given)).close()
    if inspect.isawaitable(closing):  # asyncmy closes at once
        await closing
