"""A forked child leaves its parent's sessions and connections alone, and has new ones."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from sqlalchemy import Engine

from flask_safesession._core import forks
from flask_safesession.errors import SafeSessionWarning

from .conftest import Wanted, _parameters
from .databases import EVERY, Database
from .fork_program import ENDINGS
from .kit import FLAVOURS, Kit, MakeKit

ON_DISK: Final = tuple(name for name in EVERY if name != "sqlite-memory")
SERVERS: Final = tuple(name for name in ON_DISK if name != "sqlite-file")
STATUS: Final = {"exit": 3, "error": 1, "at-once": 4, "kill": -9}
REFUSED: Final = ["SessionSharedError", None, None, None, None, False]

pytestmark = pytest.mark.programs
on_disk = pytest.mark.parametrize("name", _parameters(ON_DISK))
on_servers = pytest.mark.parametrize("name", _parameters(SERVERS))
# One that compares process ids, and one that says good-bye to its server when it is collected.
on_two = pytest.mark.parametrize("name", _parameters(("postgresql-psycopg", "mariadb-mysqlclient")))
in_each_way = pytest.mark.parametrize("flavour", FLAVOURS)


def run(case: str, database: Database, flavour: str = "flask-sqlalchemy", *options: str) -> Any:
    """Run a case of ``fork_program`` and return what its processes printed, each line as a value."""
    given = {key: value for key, value in vars(database).items() if "observer" not in key}
    result = subprocess.run(
        [sys.executable, "-m", "tests.fork_program", case, json.dumps(given), flavour, *options],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines, result.stderr
    return lines[0] if len(lines) == 1 else lines


def names(database: Database, table: str = "item", *, second: bool = False) -> list[str]:
    """The stored names; parents write to ``item``, children to ``other``."""
    engine = database.second_observer if second else database.observer
    assert engine is not None
    with engine.connect() as connection:
        return sorted(connection.exec_driver_sql(f"SELECT name FROM {table}").scalars())


def writers(database: Database, *children: str) -> list[str]:
    """The children that can write: none that were forked while their parent was writing to SQLite."""
    return [] if database.dialect == "sqlite" else sorted(children)


THREE_EACH: Final = sorted(f"{name}-{part}" for name in ENDINGS for part in "123")
ONE_EACH: Final = [f"{name}-child" for name in ENDINGS]


@on_disk
def test_stock_children_end_the_transaction_of_their_parent(name: str, wanted: Wanted) -> None:
    """Guards against fact 5: with stock Flask-SQLAlchemy ``remove()`` or ``dispose()`` in a child loses rows."""
    database = wanted.get(name)
    raised = run("stock", database, "flask-sqlalchemy", "stock")
    stored = names(database)
    kept = [way for way in raised if raised[way] is None and {f"{way}-1", f"{way}-2"} <= {*stored}]
    assert kept == []


@on_disk
def test_the_same_children_with_the_extension(name: str, wanted: Wanted) -> None:
    """The parent commits, and every row is there."""
    database = wanted.get(name)
    assert run("stock", database) == {"remove": None, "dispose": None}
    assert names(database) == ["dispose-1", "dispose-2", "remove-1", "remove-2"]


@on_disk
@pytest.mark.parametrize("case", ["in_a_scope", "by_hand"])
def test_a_fork_in_the_middle_of_a_transaction(name: str, case: str, wanted: Wanted) -> None:
    """However the child ends, it has a session of its own, cannot use the parent's, and the parent commits."""
    database = wanted.get(name)
    said = run(case, database)
    assert {way: status for way, (status, _) in said.items()} == STATUS
    assert [refused for _, (_, refused) in said.values()] == [REFUSED] * len(ENDINGS)
    assert all(f"{way}-1" not in seen for way, (_, (seen, _)) in said.items())
    assert names(database) == THREE_EACH
    assert names(database, "other") == writers(database, *ONE_EACH)


@in_each_way
@pytest.mark.parametrize("case", ["in_a_scope", "by_hand"])
def test_each_way_of_having_sessions(flavour: str, case: str, wanted: Wanted) -> None:
    """So it is on the driver that says good-bye to the server when a connection is collected."""
    database = wanted.get("mariadb-mysqlclient")
    said = run(case, database, flavour)
    assert [refused for _, (_, refused) in said.values()] == [REFUSED] * len(ENDINGS)
    assert names(database) == THREE_EACH
    assert names(database, "other") == writers(database, *ONE_EACH)


@on_disk
def test_a_child_that_comes_to_the_end_of_the_block(name: str, wanted: Wanted) -> None:
    """The COMMIT is refused there, and no hook of the parent runs in the child."""
    database = wanted.get(name)
    assert run("left_by_return", database) == [None, ["commit"], ["SessionSharedError", [], True]]
    assert names(database) == ["parent"]


@on_disk
def test_every_kind_of_scope_unwinds(name: str, wanted: Wanted) -> None:
    """Savepoints, suspended scopes and their timeouts are left without a word."""
    database = wanted.get(name)
    assert run("propagations", database) == [3, [True, []]]
    assert names(database) == ["outer", "savepoint"]
    assert names(database, "other") == writers(database, "child")


@on_disk
def test_a_savepoint_is_not_released_by_a_child(name: str, wanted: Wanted) -> None:
    """Leaving a parent's savepoint is refused as its COMMIT is."""
    database = wanted.get(name)
    assert run("savepoint_left_by_return", database) == ["SessionSharedError", "left"]
    assert names(database) == ["parent"]


@on_disk
def test_connections_in_hand(name: str, wanted: Wanted) -> None:
    """A connection, a raw one, and a session that nobody guards: refused, and unwound in silence."""
    database = wanted.get(name)
    status, said = run("hand_written_blocks", database)
    assert (status, said) == (3, [*["SessionSharedError"] * 4, None, []])
    assert names(database) == ["connection", "stranger"]
    assert names(database, "other") == writers(database, "child")


@on_disk
def test_a_transaction_in_hand(name: str, wanted: Wanted) -> None:
    """``with session.begin():`` and ``begin_nested()`` unwind with the child's own exit status."""
    database = wanted.get(name)
    assert run("session_begin", database) == [3, "SessionSharedError"]
    assert names(database) == ["parent"]


@on_disk
def test_idle_connections_are_not_shared(name: str, wanted: Wanted) -> None:
    """Children of a preloading server open connections of their own, of SQLite too."""
    database = wanted.get(name)
    assert run("idle", database) == [[3, 0], [3, 0]]
    assert (names(database), names(database, "other")) == (["parent"], ["child-0", "child-1"])


@on_servers
def test_a_grandchild(name: str, wanted: Wanted) -> None:
    """The child of a child leaves both alone."""
    database = wanted.get(name)
    assert run("grandchild", database) == [3, [3, [[], REFUSED]]]
    assert (names(database, "parent"), names(database, "other")) == (["child"], ["grandchild"])


@on_two
def test_threads_of_the_parent(name: str, wanted: Wanted) -> None:
    """What other threads hold is gone in the child before its hooks run, and says nothing when it is collected."""
    database = wanted.get(name)
    assert run("threads", database) == [3, [False, 0]]
    assert (names(database), names(database, "parent")) == (["thread"], ["thread"])


@on_two
def test_a_script_without_contexts(name: str, wanted: Wanted) -> None:
    """A thread's session of a plain ``scoped_session`` is a new one too."""
    database = wanted.get(name)
    assert run("outside_of_contexts", database, "scoped_session") == [3, [False, []]]
    assert names(database) == ["parent"]


@on_two
def test_sessions_of_a_factory(name: str, wanted: Wanted) -> None:
    """A session that nobody but its maker knows is refused as well."""
    database = wanted.get(name)
    assert run("factory_sessions", database, "sessionmaker") == [3, [REFUSED, 0]]
    assert (names(database), names(database, "other")) == (["parent"], ["child"])


@on_two
def test_several_databases(name: str, wanted: Wanted) -> None:
    """Each engine gets a new pool."""
    database = wanted.get(name)
    assert run("binds", database, "flask-sqlalchemy", "binds") == [3, None]
    both = [f"a-{database.driver}", f"z-{database.driver}"]
    assert names(database) == names(database, "other", second=True) == both


@on_servers
def test_a_streamed_result(name: str, wanted: Wanted) -> None:
    """Its rows are the parent's; stock MySQL drivers read them all to the end when the child drops the result."""
    assert run("streamed", wanted.get(name)) == [3, True]


@on_two
def test_a_failing_listener(name: str, wanted: Wanted) -> None:
    """A listener of the program's own for new pools keeps no child from its new pool."""
    database = wanted.get(name)
    assert run("listeners", database) == [3, 0]
    assert (names(database), names(database, "other")) == (["parent"], ["child"])


def test_a_session_in_the_place_of_all(wanted: Wanted) -> None:
    """Where ``db.session`` is one object there is no other, and the child is told so."""
    database = wanted.get("mariadb-mysqlclient")
    assert run("replaced_session", database) == [3, "SessionSharedError"]
    assert names(database) == ["parent"]


def test_a_database_in_memory(wanted: Wanted) -> None:
    """It is copied with the process, and goes on in the child."""
    assert run("memory", wanted.get("sqlite-memory")) == [3, [["parent"], REFUSED, True], []]


def test_a_child_of_a_process_that_writes_to_sqlite(wanted: Wanted) -> None:
    """It can read the file and not write it, while a child from before or after can."""
    database = wanted.get("sqlite-file")
    assert run("sqlite_child", database) == [[[], "OperationalError"], 0]
    assert (names(database), names(database, "other")) == (["parent"], ["later"])


@on_two
def test_a_server_that_forks_in_c(name: str, wanted: Wanted) -> None:
    """Where the hooks before a fork were skipped, the child looks by itself."""
    database = wanted.get(name)
    assert run("hooks_of_c", database) == [REFUSED, False, []]
    assert (names(database), names(database, "other")) == ([], ["child"])


@on_two
def test_a_child_is_told_of_what_it_holds_itself(name: str, wanted: Wanted) -> None:
    """The connections of its parent are not its own, and the parent's watching thread is not there."""
    assert run("held", wanted.get(name), "flask-sqlalchemy", "soon") == [[0, [True]], 2]


MASTER: Final[dict[str, Any]] = {"worker_id": lambda: 0, "numproc": 1, "opt": {"master": True}}
QUIET: Final[dict[str, dict[str, Any]]] = {
    "told to call Python": {"opt": {"master": True, "py-call-osafterfork": True}},
    "in a worker": {"worker_id": lambda: 2},
    "without workers": {"opt": {}},
}


def test_uwsgi_is_warned_of(make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """It forks without Python's hooks: workers share the connections of their master, and get each other's rows."""
    monkeypatch.setitem(sys.modules, "uwsgi", cast(Any, SimpleNamespace(**MASTER)))
    with pytest.warns(SafeSessionWarning, match="Set 'py-call-osafterfork = true'"):
        make_kit()


@pytest.mark.parametrize("change", QUIET.values(), ids=QUIET)
def test_uwsgi_that_does_no_harm(
    make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """Where nothing is forked afterwards, or Python is told of it, nothing is said."""
    monkeypatch.setitem(sys.modules, "uwsgi", cast(Any, SimpleNamespace(**{**MASTER, **change})))
    with warnings.catch_warnings(record=True) as caught:
        make_kit()
    assert caught == []


def test_the_parent_keeps_nothing_of_a_fork(sqlite_kit: Kit) -> None:
    """After a fork the parent's objects are collected as before."""
    forks._watched.before()
    forks._watched.in_parent()
    assert forks._watched._inheritance is None


def test_an_engine_is_watched_once(sqlite_kit: Kit) -> None:
    """One listener for new connections, however often an engine is met."""

    def listeners(engine: Engine) -> int:
        return len(list(engine.pool.dispatch.connect))

    with sqlite_kit.app.app_context():
        before = listeners(sqlite_kit.engine)
        forks.watch(sqlite_kit.engine)
        sqlite_kit.db.session.connection()
        assert listeners(sqlite_kit.engine) == before
