"""Each code of the table, sent by a real server and read through each of its drivers."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from sqlalchemy.exc import DBAPIError

from flask_safesession import classify
from flask_safesession._core.faults.table import CATEGORIES

from .bench import DRIVERS, Bench, dialect_of
from .conftest import MakeBench

POSTGRESQL = {f"{code:Z<5}": each.name for each in CATEGORIES for code in each.postgresql}
# A server does not send 0, nor the numbers of the client library.
CLIENT = {0, *range(2000, 3000)}
MARIADB = {
    str(code): each.name for each in CATEGORIES for code in each.mariadb if code not in CLIENT
}

RAISE = "DO $$BEGIN RAISE EXCEPTION 'made' USING ERRCODE = '{}'; END$$"
SIGNAL = "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {}"


def _drivers(dialect: str) -> list[str]:
    return [each for each in DRIVERS if dialect_of(each) == dialect]


def _read(bench: Bench, statement: str, codes: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """The category and the code for each of *codes*, which *statement* makes the server send."""
    found = {}

    def send(bench: Bench) -> None:
        with bench.engine().connect() as connection:
            for code in codes:
                with pytest.raises(DBAPIError) as caught:
                    connection.exec_driver_sql(statement.format(code))
                connection.rollback()
                fault = classify(caught.value)
                found[code] = (fault.category, fault.code)

    error = bench.raised(send)
    assert error is None, repr(error)
    return found


@pytest.mark.parametrize("driver", _drivers("postgresql"))
def test_each_sqlstate(make_bench: MakeBench, driver: str) -> None:
    """A function may raise any of them, also one of its own in a class that is known."""
    found = _read(make_bench(driver), RAISE, POSTGRESQL)
    assert found == {code: (name, code) for code, name in POSTGRESQL.items()}


@pytest.mark.parametrize("driver", _drivers("mariadb"))
def test_each_number(make_bench: MakeBench, driver: str) -> None:
    """SIGNAL may send any of them, also those that MariaDB 10.11 does not send by itself."""
    found = _read(make_bench(driver), SIGNAL, MARIADB)
    assert found == {code: (name, code) for code, name in MARIADB.items()}


def test_no_code_is_in_two_categories() -> None:
    """Or one of the two would never be told."""
    for dialect in ("postgresql", "mariadb", "sqlite", "sqlalchemy"):
        codes = [code for each in CATEGORIES for code in getattr(each, dialect)]
        assert sorted(map(str, codes)) == sorted(map(str, set(codes)))
