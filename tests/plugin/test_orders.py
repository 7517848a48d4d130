"""Errors that can be ordered, and those that are refused where they are ordered, with what can be given."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from flask_safesession import classify, errors, session_manager
from flask_safesession._core.faults.table import CATEGORIES
from flask_safesession.testing import Faults, RollbackIsolation
from tests.kit import Kit

CALLS = ("commit", "flush", "savepoint", "connect", "execute")
BROKEN = ("connection_lost", "server_shutdown")


def attempt(kit: Kit) -> str:
    """The category of what comes out of a scope that makes each of the calls."""
    try:
        with session_manager() as session:
            session.execute(text("SELECT 1"))
            with session.begin_nested():
                session.execute(text("SELECT 1"))
            session.add(kit.Item(name="a"))
    except (SQLAlchemyError, errors.SafeSessionError) as error:
        return classify(error).category
    return "none"


@pytest.mark.parametrize("call", CALLS)
def test_what_can_be_ordered_comes_as_itself(kit: Kit, call: Any) -> None:
    """A connection that breaks during COMMIT leaves it in doubt, and SQLite knows no deadlock."""
    found, meant = {}, {}
    for name in (each.name for each in CATEGORIES):
        with RollbackIsolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
            try:
                faults.fail(call, error=name)
            except ValueError:
                continue
            found[name] = attempt(kit)
        meant[name] = "commit_unknown" if call == "commit" and name in BROKEN else name
    if kit.database.dialect == "sqlite" and "deadlock" in meant:
        meant["deadlock"] = "lock_timeout"
    assert found == meant
    assert len(found) >= 5


@pytest.mark.parametrize("call", ["execute", "flush", "savepoint"])
def test_a_limit_of_a_statement(kit: Kit, call: Any) -> None:
    """PostgreSQL has the code of a cancel for it, and the words are no sentence of this package's docs."""
    with RollbackIsolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
        if kit.database.dialect == "sqlite":
            with pytest.raises(ValueError, match="'statement_timeout' is no error that 'sqlite'"):
                faults.fail(call, error="statement_timeout")
            return
        faults.fail(call, error="statement_timeout")
        with pytest.raises(DBAPIError) as caught, session_manager() as session:
            with session.begin_nested():
                session.add(kit.Item(name="a"))
        fault = classify(caught.value)
    codes = {"postgresql": "57014", "mariadb": "1969"}
    assert (fault.category, fault.code) == ("statement_timeout", codes[kit.database.dialect])
    assert "57014 is this" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ("connect", "unique", "'connect' never fails with 'unique' on '.*'. Give one of .*permis"),
        ("connect", "connection_lost", "'connect' never fails .* Give one of .*connection_refused"),
        ("commit", "statement_timeout", "'commit' never fails|is no error that 'sqlite'"),
    ],
)
def test_a_pair_that_does_not_go_together(kit: Kit, call: Any, error: str, message: str) -> None:
    """The line says what can be given for that call on that database."""
    with Faults(kit.app) as faults, pytest.raises(ValueError, match=message):
        faults.fail(call, error=error)


@pytest.mark.parametrize("call", ["execute", "flush", "savepoint", "commit", "rollback"])
def test_a_refused_connection_is_one_that_was_not_made(kit: Kit, call: Any) -> None:
    """SQLite opens its file with the first statement."""
    if kit.database.dialect == "sqlite":
        pytest.skip("it may")
    with (
        Faults(kit.app) as faults,
        pytest.raises(ValueError, match="never fails with 'connection_r"),
    ):
        faults.fail(call, error="connection_refused")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"error": None}, TypeError, "'error' is None. Give the name of a category"),
        ({"error": ValueError}, TypeError, "'error' is <class 'ValueError'>. Give the name"),
        ({"error": 3}, TypeError, "'error' is 3. Give the name"),
        ({"nth": "1"}, TypeError, "'nth' is '1'. Give a whole number"),
        ({"nth": 1.5}, TypeError, "'nth' is 1.5. Give a whole number"),
        ({"nth": True}, TypeError, "'nth' is True. Give a whole number"),
        ({"matching": "x"}, ValueError, "'matching' is given for 'commit', .* for 'execute'"),
        (
            {"call": "execute", "matching": "("},
            ValueError,
            "is no regular expression: .*'re.escape",
        ),
        ({"call": "execute", "matching": 3}, TypeError, "'matching' is 3. Give a regular"),
        ({"call": None}, ValueError, "None is no call that can fail. Give one of commit"),
    ],
)
def test_arguments_of_another_kind(
    sqlite_kit: Kit, arguments: Any, kind: type[Exception], message: str
) -> None:
    """They are refused at the order, and nothing is ordered."""
    arguments = {"call": "commit", "error": "disk_full", **arguments}
    with Faults(sqlite_kit.app) as faults, pytest.raises(kind, match=message):
        faults.fail(**arguments)


def test_two_orders_for_one_call(sqlite_kit: Kit) -> None:
    """Each counts the calls that fail by the other; where both are due, the later one is for the next call."""
    kit = sqlite_kit
    found = []
    with RollbackIsolation(kit.app), Faults(kit.app) as faults, kit.app.app_context():
        faults.fail("commit", error="disk_full", nth=1)
        faults.fail("commit", error="lock_timeout", nth=2)
        faults.fail("commit", error="read_only", nth=2)
        found = [attempt(kit) for _ in range(4)]
    assert found == ["disk_full", "lock_timeout", "read_only", "none"]
