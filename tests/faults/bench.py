"""One driver on one database, for what is to fail, and another connection that plays the rest of the world."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, text
from sqlalchemy.util import greenlet_spawn

from flask_safesession._core.dialects import wire_dialect

DRIVERS: Final = {
    "psycopg": "postgresql+psycopg",
    "psycopg2": "postgresql+psycopg2",
    "asyncpg": "postgresql+asyncpg",
    "PyMySQL": "mysql+pymysql",
    "mysqlclient": "mariadb+mysqldb",
    "asyncmy": "mysql+asyncmy",
    "aiomysql": "mysql+aiomysql",
    "sqlite3": "sqlite+pysqlite",
    "aiosqlite": "sqlite+aiosqlite",
}
"""The drivers as users call them, and as SQLAlchemy does."""

ASYNC: Final = ("asyncpg", "asyncmy", "aiomysql", "aiosqlite")
DATABASES: Final = {"postgresql": "PostgreSQL", "mariadb": "MariaDB", "sqlite": "SQLite"}

_SIBLINGS: Final = {"postgresql": "psycopg", "mariadb": "PyMySQL", "sqlite": "sqlite3"}


def dialect_of(driver: str) -> str:
    """The database that *driver* speaks to."""
    name = DRIVERS[driver].partition("+")[0]
    return "mariadb" if name == "mysql" else name


class OwnServer(Protocol):
    """A server of the tests' own; see ``tests.servers``."""

    @property
    def url(self) -> URL: ...

    @property
    def data(self) -> Path: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


@dataclass
class Bench:
    """What a provocation works with.

    Args:
        driver: The driver under test.
        url: Its database, with the tables of the kits.
        directory: An empty folder.
        own_server: Starts a server that may be damaged.
    """

    driver: str
    url: URL
    directory: Path
    own_server: Callable[[], OwnServer]

    @property
    def dialect(self) -> str:
        """The database."""
        return dialect_of(self.driver)

    def engine(self, url: URL | None = None, **options: Any) -> Engine:
        """An engine through the driver under test, wired as those of the extension are."""
        address = (url or self.url).set(drivername=DRIVERS[self.driver])
        engine = create_engine(address, **{"poolclass": NullPool, **options})
        wire_dialect(engine.dialect)
        return engine

    def send(self, *statements: str, url: URL | None = None) -> None:
        """Send *statements* in one transaction, the last of which is to fail."""
        with self.engine(url).connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    @contextmanager
    def other(self, url: URL | None = None, level: str = "AUTOCOMMIT") -> Iterator[Connection]:
        """A connection of somebody else."""
        address = (url or self.url).set(drivername=DRIVERS[_SIBLINGS[self.dialect]])
        engine = create_engine(address, poolclass=NullPool, isolation_level=level)
        with engine.connect() as connection:
            yield connection

    @contextmanager
    def meanwhile(self, work: Callable[[], None]) -> Iterator[None]:
        """Do *work* in another thread, which has ended when the block is left."""
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def raised(self, act: Callable[[Bench], None]) -> BaseException | None:
        """What *act* raises; an asynchronous driver has an event loop for it."""
        try:
            if self.driver in ASYNC:
                asyncio.run(self._spawn(act))
            else:
                act(self)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error
        return None

    async def _spawn(self, act: Callable[[Bench], None]) -> None:
        before = set(threading.enumerate())
        try:
            await greenlet_spawn(act, self)
        finally:
            # The threads of aiosqlite tell the event loop that they end, which has to be there.
            left = set(threading.enumerate()) - before if self.driver == "aiosqlite" else ()
            for thread in left:
                thread.join(timeout=5)


def raw_connection(connection: Connection) -> Any:
    """The driver's own object."""
    return connection.connection.driver_connection


def wait_for(connection: Connection, query: str) -> None:
    """Return when *query* counts something."""
    while not connection.scalar(text(query)):
        pass
