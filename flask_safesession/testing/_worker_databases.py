"""A database for each process that runs tests."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, Engine, make_url

from ._engines import unpooled
from ._loop import run_for

__all__ = ["worker_database"]

# Of PostgreSQL the one that is always there; MariaDB needs none.
_ADMINISTRATION = {"postgresql": "postgres", "mysql": "", "mariadb": ""}
_DROP = {"postgresql": "DROP DATABASE {} WITH (FORCE)"}


@contextlib.contextmanager
def worker_database(
    url: str, worker: str, directory: Path, template: str | None = None
) -> Iterator[str]:
    """Make a database for one process of one run, and drop it at the end of the ``with`` block.

    Args:
        url: The server, its user, and the name that the databases are to begin with; any SQLite URL stands for a file.
        worker: The name of the process.
        directory: Where the file goes.
        template: A database of the same server that is copied, with its tables and rows; PostgreSQL only. Nobody may be
            connected to it meanwhile.

    Yields:
        The URL of the database, its password included.

    Raises:
        ValueError: If *url* has no database name, or is of a database that is not known or copies no template.
        SQLAlchemyError: If the server cannot be reached, or does not let this user make a database.

    .. versionadded:: 0.1
    """
    given = make_url(url)
    dialect = given.get_backend_name()
    if template and dialect != "postgresql":
        raise ValueError(
            f"'{template}' is to be copied on '{dialect}', and only PostgreSQL copies databases. Leave "
            "'safesession_template' out there."
        )
    if dialect == "sqlite":
        file = URL.create(given.drivername, database=f"{directory / worker}.sqlite")
        yield file.render_as_string()
        return
    if dialect not in _ADMINISTRATION or not given.database:
        raise ValueError(
            f"'{given!r}' is no URL from which databases for tests can be made. Give one of SQLite, PostgreSQL, "
            "MariaDB or MySQL, with a database name at its end."
        )
    # Runs in containers that share a server often have the same numbers of processes.
    name = f"{given.database}_{worker}_{os.getpid()}_{secrets.token_hex(3)}"
    own = given.set(database=name)
    copied = f" TEMPLATE {_quoted(given.set(database=template))}" if template else ""
    _administer(given, f"CREATE DATABASE {_quoted(own)}{copied}")
    try:
        yield own.render_as_string(hide_password=False)
    finally:
        _administer(given, _DROP.get(dialect, "DROP DATABASE {}").format(_quoted(own)))


def _quoted(url: URL) -> str:
    return url.get_dialect()().identifier_preparer.quote_identifier(str(url.database))


def _administer(url: URL, statement: str) -> None:
    server = url.set(database=_ADMINISTRATION[url.get_backend_name()])
    engine = unpooled(server)
    run_for(engine, _execute, engine, statement)


def _execute(engine: Engine, statement: str) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
