"""The benches of these tests, and the servers that they may damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.conftest import Wanted, missing
from tests.databases import DatabaseMissingError
from tests.servers import OwnMariaDB, OwnPostgreSQL

from .bench import Bench, OwnServer, dialect_of

# The database as the tests find it: its kit's driver may be another one than that under test.
_FOUND = {
    "postgresql": "postgresql-psycopg",
    "mariadb": "mariadb-pymysql",
    "sqlite": "sqlite-file",
    "mysqlclient": "mariadb-mysqlclient",
}


class Servers:
    """The servers of this worker, started when they are first needed."""

    def __init__(self) -> None:
        self.running: dict[str, OwnPostgreSQL | OwnMariaDB] = {}

    def get(self, dialect: str) -> OwnServer:
        """The server of *dialect*; the test is skipped where there is none."""
        if dialect not in self.running:
            try:
                kind = OwnPostgreSQL if dialect == "postgresql" else OwnMariaDB
                self.running[dialect] = kind()
            except DatabaseMissingError as error:
                missing(dialect, error)
        return self.running[dialect]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers that may be damaged."""
    servers = Servers()
    yield servers
    for server in servers.running.values():
        server.remove()


MakeBench = Callable[[str], Bench]


@pytest.fixture
def make_bench(wanted: Wanted, servers: Servers, tmp_path: Path) -> MakeBench:
    """Make a bench for a driver."""

    def make(driver: str) -> Bench:
        dialect = dialect_of(driver)
        database = wanted.get(_FOUND.get(driver, _FOUND[dialect]))
        return Bench(driver, make_url(database.url), tmp_path, lambda: servers.get(dialect))

    return make
