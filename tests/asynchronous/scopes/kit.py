"""A small Flask app with asynchronous sessions on a real database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flask import Flask
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from flask_safesession import SafeSession

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


@dataclass
class AsyncKit:
    """An app whose sessions come from an ``async_sessionmaker``."""

    app: Flask
    safe: SafeSession
    database: Database
    engine: AsyncEngine
    factory: async_sessionmaker[AsyncSession]
    models: Models

    @property
    def Item(self) -> Any:  # noqa: N802 - a class
        """The mapped class of the table ``item``."""
        return self.models.Item

    def names(self) -> list[str]:
        """Return the names of the stored items, sorted, read through another connection."""
        assert self.database.observer is not None
        with self.database.observer.connect() as connection:
            return sorted(connection.exec_driver_sql("SELECT name FROM item").scalars())

    def checkedout(self) -> int:
        """Return how many connections are out of the pool."""
        pool = self.engine.pool
        assert isinstance(pool, QueuePool)
        return pool.checkedout()


def make_async_kit(
    database: Database,
    driver: str,
    *,
    options: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    engine_options: dict[str, Any] | None = None,
) -> AsyncKit:
    """Make an app on *database*; the other arguments are those of ``tests.kit.make_kit``."""
    url = make_url(database.url).set(drivername=DRIVERS[driver][1])
    defaults: dict[str, Any] = {"pool_size": 5, "pool_timeout": 2}
    if driver == "aiosqlite":
        defaults["connect_args"] = {"timeout": 1}
        defaults["poolclass"] = AsyncAdaptedQueuePool  # SQLAlchemy 2.0.36 takes none for files
    engine = create_async_engine(url, **{**defaults, **(engine_options or {})})
    if driver == "aiosqlite":
        event.listen(engine.sync_engine, "connect", _enforce_foreign_keys)
    factory = async_sessionmaker(engine)
    app = Flask("async_kit")
    app.config.update(TESTING=True, SECRET_KEY="kit")
    app.config.update(config or {})
    safe = SafeSession(app, db=factory, **(options or {}))
    models = make_models(database.dialect, binds=False)
    return AsyncKit(app, safe, database, engine, factory, models)


def _enforce_foreign_keys(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA foreign_keys=ON")
