"""What the drivers tell beside the code: names, and which side of a key is at fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flask_safesession import Fault, classify

from .bench import DRIVERS, Bench, dialect_of
from .conftest import MakeBench
from .on_servers import TWO_ROWS, Act, sql
from .table import CHECKED, CHILD, KEYS, PARENT, keyed

LATE = "INSERT INTO late_child (id, name, parent_id) VALUES (1, 'one', 999)"
POSTGRESQL = [each for each in DRIVERS if dialect_of(each) == "postgresql"]


def fault_of(bench: Bench, act: Act) -> Fault:
    """What *act* fails with."""
    error = bench.raised(act)
    assert error is not None
    return classify(error)


NAMED = {
    "unique": (sql(TWO_ROWS, TWO_ROWS), ("item_name_key", "item", None)),
    "foreign key": (sql(CHILD), ("child_parent_id_fkey", "child", None)),
    "check": (sql(CHECKED, "INSERT INTO checked VALUES (0)"), ("positive", "checked", None)),
    "not null": (sql("INSERT INTO item (name) VALUES (NULL)"), (None, "item", "name")),
    "none": (sql("SELECT 1 / 0"), (None, None, None)),
}


@pytest.mark.parametrize("driver", POSTGRESQL)
@pytest.mark.parametrize(("act", "names"), NAMED.values(), ids=NAMED)
def test_names(make_bench: MakeBench, driver: str, act: Act, names: tuple[str | None, ...]) -> None:
    """Constraint, table and column, as PostgreSQL tells them."""
    fault = fault_of(make_bench(driver), act)
    assert (fault.constraint, fault.table, fault.column) == names


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_missing_parent(make_bench: MakeBench, driver: str) -> None:
    """The client sent what does not exist: 422."""
    assert fault_of(make_bench(driver), keyed(CHILD)).http_status == 422


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_parent_that_is_referred_to(make_bench: MakeBench, driver: str) -> None:
    """A conflict: 409."""
    act = keyed(PARENT, CHILD, "DELETE FROM parent")
    assert fault_of(make_bench(driver), act).http_status == 409


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_drivers_own_error(make_bench: MakeBench, driver: str) -> None:
    """Raw cursors raise it, without SQLAlchemy's around it."""
    bench = make_bench(driver)
    error = bench.raised(sql(TWO_ROWS, TWO_ROWS))
    own = getattr(error, "orig", None)
    assert error is not None
    assert own is not None
    assert classify(own) == classify(error)
    assert classify(own.__cause__ or own).category == "unique"


FULL = """
import resource, sqlite3, sys
from flask_safesession import classify
from sqlalchemy import create_engine
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
with create_engine(sys.argv[1]).connect() as connection:
    connection.exec_driver_sql("CREATE TABLE full (x)")
    try:
        connection.exec_driver_sql("INSERT INTO full VALUES (zeroblob(200000))")
        connection.commit()
    except Exception as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        print(classify(error).category)
        connection.invalidate()
"""


def test_a_quota(tmp_path: Path) -> None:
    """The operating system refuses to make the file larger, which SQLite calls an I/O error."""
    url = f"sqlite:///{tmp_path / 'quota.sqlite'}"
    command = [sys.executable, "-c", FULL, url]
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    assert result.stdout == "disk_full\n"


@pytest.mark.parametrize("driver", [*POSTGRESQL, "sqlite3", "aiosqlite"])
def test_a_deferred_key(make_bench: MakeBench, driver: str) -> None:
    """At COMMIT nobody tells which side it was: 409."""

    def late(bench: Bench) -> None:
        with bench.engine().connect() as connection:
            for statement in (*KEYS.get(bench.dialect, ()), LATE):
                connection.exec_driver_sql(statement)
            connection.commit()

    fault = fault_of(make_bench(driver), late)
    assert (fault.category, fault.http_status) == ("foreign_key", 409)
