"""Many threads move money between few accounts: every transfer is done, and none twice.

``python -m benchmarks.transfers`` is the same with 32 threads and 200 transfers each.
"""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from benchmarks.transfers import Load, move_money
from tests.conftest import Wanted

LOAD = Load(threads=8, each=25)


@pytest.mark.slow
@pytest.mark.parametrize(
    "database",
    [
        pytest.param("postgresql-psycopg", marks=pytest.mark.postgresql),
        pytest.param("postgresql-psycopg2", marks=pytest.mark.postgresql),
        pytest.param("mariadb-pymysql", marks=pytest.mark.mariadb),
        pytest.param("mariadb-mysqlclient", marks=pytest.mark.mariadb),
    ],
)
def test_every_transfer_is_done_once(wanted: Wanted, database: str) -> None:
    """At SERIALIZABLE on PostgreSQL, and with row locks on MariaDB."""
    figures = move_money(make_url(wanted.get(database).url), LOAD)
    assert figures.holds(LOAD), figures


@pytest.mark.postgresql
def test_without_retry_some_are_not(wanted: Wanted) -> None:
    """PostgreSQL refuses those that met another one; what it has taken is right."""
    url = make_url(wanted.get("postgresql-psycopg").url)
    figures = move_money(url, LOAD, retry=None)
    assert figures.errors
    assert (figures.succeeded, figures.wrong) == (figures.recorded, 0)
