"""Errors that a test orders are those that the database would answer with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from flask_safesession import classify, current_scope, errors, on_commit, session_manager
from flask_safesession._core.faults.table import CATEGORIES
from flask_safesession.testing import CommitIsolation, Faults, RollbackIsolation
from flask_safesession.testing._driver_errors import check_error, driver_error
from tests.databases import Database
from tests.kit import Kit, MakeKit

ISOLATIONS = [RollbackIsolation, CommitIsolation]


@pytest.fixture(params=ISOLATIONS, ids=["rollback", "commit"])
def isolation(request: pytest.FixtureRequest) -> Callable[..., AbstractContextManager[Any]]:
    """Each of the isolations that a test may have."""
    found: Callable[..., AbstractContextManager[Any]] = request.param
    return found


def add(kit: Kit, name: str) -> None:
    with session_manager() as session:
        session.add(kit.Item(name=name))


def names(kit: Kit) -> list[str]:
    with kit.app.app_context(), session_manager() as session:
        return sorted(session.scalars(select(kit.Item.name)))


def test_each_error_means_what_it_was_ordered_as(
    make_kit: MakeKit, every_database: Database
) -> None:
    """``classify()`` reads the category back from what a statement raises, on each driver."""
    kit = make_kit(every_database)
    known = [each.name for each in CATEGORIES if _is_known(kit, each.name)]
    stand_ins = {"deadlock": "lock_timeout"}
    renamed = stand_ins if every_database.dialect == "sqlite" else {}
    found = {}
    for name in known:
        with RollbackIsolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
            faults.fail("connect" if name == "connection_refused" else "execute", error=name)
            with pytest.raises(SQLAlchemyError) as caught, session_manager() as session:
                session.execute(text("SELECT 1"))
            found[name] = classify(caught.value).category
    assert found == {name: renamed.get(name, name) for name in known}
    assert len(known) >= 12


def _is_known(kit: Kit, name: str) -> bool:
    try:
        check_error(kit.engine, name)
    except ValueError:
        return False
    return True


def test_the_class_and_the_code_are_the_drivers_own(make_kit: MakeKit, database: Database) -> None:
    """A unique violation is an IntegrityError of the driver, with its code."""
    kit = make_kit(database)
    error: Any = driver_error(kit.engine, "unique")
    assert isinstance(error, kit.engine.dialect.loaded_dbapi.IntegrityError)
    assert (
        classify(error).code
        == {
            "sqlite": "SQLITE_CONSTRAINT_UNIQUE",
            "postgresql": "23505",
            "mariadb": "1022",
        }[database.dialect]
    )


@pytest.mark.parametrize("call", ["commit", "flush", "execute"])
def test_a_call_that_fails(
    kit: Kit, isolation: Callable[..., AbstractContextManager[Any]], call: Any
) -> None:
    """The scope is rolled back, its hooks are dropped, and the next one works."""
    ran: list[str] = []
    with isolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
        faults.fail(call, error="lock_timeout")
        with pytest.raises(DBAPIError) as caught, session_manager():
            kit.session().add(kit.Item(name="a"))
            on_commit(ran.append, "hook")
        add(kit, "b")
        assert (classify(caught.value).category, names(kit), ran) == ("lock_timeout", ["b"], [])


def test_the_second_of_several(kit: Kit) -> None:
    """Calls are counted from the order on."""
    with RollbackIsolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
        add(kit, "before")
        faults.fail("commit", error="lock_timeout", nth=2)
        add(kit, "a")
        with pytest.raises(DBAPIError):
            add(kit, "b")
        assert names(kit) == ["a", "before"]


def test_statements_by_their_text(kit: Kit) -> None:
    """Only what matches counts."""
    with RollbackIsolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
        faults.fail("execute", error="permission", matching=r"^insert into item\b")
        with session_manager() as session:
            session.scalars(select(kit.Item)).all()
        with pytest.raises(DBAPIError):
            add(kit, "a")


def test_a_savepoint_that_fails(kit: Kit) -> None:
    """It fails where the nested scope is opened."""
    with RollbackIsolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
        faults.fail("savepoint", error="lock_timeout")
        with pytest.raises(DBAPIError), session_manager():
            with session_manager(propagation="nested") as session:
                session.scalars(select(kit.Item)).all()


def test_a_rollback_that_fails(sqlite_kit: Kit) -> None:
    """The error of the block stays what it was, with a note, and nothing is stored."""
    kit = sqlite_kit
    with Faults(kit.app) as faults, kit.app.app_context():
        faults.fail("rollback", error="lock_timeout")
        with pytest.raises(ZeroDivisionError) as caught, session_manager() as session:
            session.add(kit.Item(name="a"))
            session.flush()
            raise ZeroDivisionError
    assert "failed too" in vars(caught.value)["__notes__"][0]
    assert kit.names() == []


def test_no_connection(kit: Kit, isolation: Callable[..., AbstractContextManager[Any]]) -> None:
    """The pool cannot connect, and then it can."""
    name = "disk_full" if kit.database.dialect == "sqlite" else "connection_refused"
    with isolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
        faults.fail("connect", error=name)
        with pytest.raises(DBAPIError) as caught:
            add(kit, "a")
        add(kit, "b")
        assert (classify(caught.value).category, names(kit)) == (name, ["b"])


@pytest.mark.parametrize("call", ["execute", "flush"])
def test_a_connection_that_breaks(
    kit: Kit, isolation: Callable[..., AbstractContextManager[Any]], call: Any
) -> None:
    """What was not committed on it is gone, and the next scope has another one."""
    with isolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
        add(kit, "a")
        faults.fail(call, error="connection_lost")
        with pytest.raises(DBAPIError) as caught, session_manager() as session:
            session.add(kit.Item(name="b"))
        add(kit, "c")
        assert (classify(caught.value).category, names(kit)) == ("connection_lost", ["a", "c"])


def test_a_commit_whose_reply_is_lost(
    make_kit: MakeKit,
    every_database: Database,
    isolation: Callable[..., AbstractContextManager[Any]],
) -> None:
    """The row is stored, and the scope cannot know it, with each driver."""
    if every_database.name == "sqlite-memory":
        isolation = RollbackIsolation
    kit = make_kit(every_database)
    with isolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
        faults.lose_reply("commit")
        with pytest.raises(errors.CommitOutcomeUnknownError), session_manager() as session:
            session.add(kit.Item(name="a"))
            scope = current_scope()
        assert scope is not None
        assert (scope.outcome, names(kit)) == ("unknown", ["a"])


@pytest.mark.parametrize(
    "order",
    [
        lambda faults: faults.kill_connection(),
        lambda faults: faults.lose_reply("commit"),
        lambda faults: faults.fail("flush", error="connection_lost"),
    ],
    ids=["kill", "lose", "fail"],
)
def test_a_database_in_memory(make_kit: MakeKit, order: Callable[[Faults], None]) -> None:
    """It would be gone with its connection, for the tests that follow too."""
    kit = make_kit("sqlite-memory")
    with Faults(kit.app) as faults, kit.app.app_context():
        with pytest.raises(errors.IsolationUnavailableError, match="and with it the database"):
            order(faults)
        add(kit, "a")
        assert names(kit) == ["a"]


def test_a_connection_that_is_killed(make_kit: MakeKit, every_database: Database) -> None:
    """The server ends it; the error of each driver arrives as its own."""
    if every_database.name == "sqlite-memory":
        pytest.skip("it has one connection")
    kit = make_kit(every_database)
    with CommitIsolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
        faults.kill_connection()
        with pytest.raises(DBAPIError) as caught:
            add(kit, "a")
        add(kit, "b")
        assert classify(caught.value).category in ("connection_lost", "server_shutdown")
        assert names(kit) == ["b"]


def test_a_connection_that_cannot_be_killed(sqlite_kit: Kit) -> None:
    """A test that is rolled back has one."""
    with RollbackIsolation(sqlite_kit.app), Faults(sqlite_kit.app) as faults:
        with pytest.raises(errors.IsolationUnavailableError, match="kills the one connection"):
            faults.kill_connection()


def test_a_deadlock_ends_the_transaction(make_kit: MakeKit) -> None:
    """MariaDB rolls back with it, so that a swallowed one is refused at the commit."""
    kit = make_kit("mariadb-pymysql")
    with CommitIsolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
        faults.fail("execute", error="deadlock", matching="^SELECT 2")
        with pytest.raises(errors.UnexpectedRollbackError), session_manager() as session:
            session.add(kit.Item(name="a"))
            session.flush()
            with pytest.raises(DBAPIError):
                session.execute(text("SELECT 2"))
    assert kit.names() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"call": "comit", "error": "deadlock"},
            "'comit' is no call that can fail. Give one of commit, flush,",
        ),
        (
            {"call": "commit", "error": "dead_lock"},
            "'dead_lock' is no error .* Did you mean 'deadlock'",
        ),
        (
            {"call": "commit", "error": "???"},
            "is no error that 'sqlite' answers with. Give one of unique, ",
        ),
        (
            {"call": "commit", "error": "too_many_connections"},
            "is no error that 'sqlite' answers with. Give one of unique, ",
        ),
        (
            {"call": "commit", "error": "deadlock", "nth": 0},
            "'nth' is 0. Calls are counted from 1.",
        ),
    ],
)
def test_what_cannot_be_ordered(sqlite_kit: Kit, arguments: Any, message: str) -> None:
    """One line with the names that there are."""
    with Faults(sqlite_kit.app) as faults, pytest.raises(ValueError, match=message):
        faults.fail(arguments.pop("call"), **arguments)


def test_only_the_reply_to_commit_can_be_lost(sqlite_kit: Kit) -> None:
    """Other calls have nothing in doubt."""
    with Faults(sqlite_kit.app) as faults, pytest.raises(ValueError, match="reply to 'flush'"):
        faults.lose_reply("flush")  # type: ignore[arg-type]


def test_an_error_that_never_came(sqlite_kit: Kit) -> None:
    """A test whose order met no call would prove nothing."""
    with pytest.warns(errors.SafeSessionWarning, match="ordered for 'commit' never came: 2 more"):
        with Faults(sqlite_kit.app) as faults:
            faults.fail("commit", error="deadlock", nth=2)
