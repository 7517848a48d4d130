"""``for attempt in attempts(): with attempt as session:``."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from flask_safesession import attempts, current_scope, on_rollback, session_manager
from flask_safesession.errors import NoAppError, NoTransactionError, TransactionActiveError
from tests.kit import Kit, MakeKit

from .faults import QUICK, conflict, locked, notes


def test_a_block_is_tried_until_it_commits(any_kit: Kit) -> None:
    """Each try gets its session; the loop ends with the first that commits."""
    seen = []
    with any_kit.app.app_context():
        for attempt in attempts(QUICK):
            with attempt as session:
                scope = current_scope()
                assert scope is not None
                seen.append((scope.attempt, scope.session is session))
                session.add(any_kit.Item(name=f"try {scope.attempt}"))
                session.flush()
                if scope.attempt < 3:
                    raise locked()
    assert seen == [(1, True), (2, True), (3, True)]
    assert any_kit.names() == ["try 3"]


def test_the_last_error_leaves_the_with_block(kit: Kit) -> None:
    """It can be caught around the block, and around the loop."""
    caught = []
    with kit.app.app_context(), pytest.raises(Exception, match=r"conflict|locked|1213") as left:
        for attempt in attempts(QUICK):
            try:
                with attempt as session:
                    conflict(session, kit.database.dialect)
            except Exception as error:
                caught.append(error)
                raise
    assert caught == [left.value]
    assert len(notes(left.value)) == 3


def test_an_error_that_is_not_worth_it_leaves_at_once(sqlite_kit: Kit) -> None:
    """So does what ends the program."""
    tries = []
    with sqlite_kit.app.app_context():
        for error in (ValueError, KeyboardInterrupt):
            with pytest.raises(error):
                for attempt in attempts(QUICK):
                    with attempt:
                        tries.append(error)
                        raise error
    assert tries == [ValueError, KeyboardInterrupt]


def test_an_error_of_the_commit_leaves_too(kit: Kit) -> None:
    """What the end of the block raises, here for a duplicate, is not tried again if it is not worth it."""
    with kit.app.app_context(), pytest.raises(IntegrityError) as caught:
        for attempt in attempts(QUICK):
            with attempt as session:
                session.add_all([kit.Item(name="a"), kit.Item(name="a")])
    assert notes(caught.value) == []


def test_return_and_break_commit(sqlite_kit: Kit) -> None:
    """They leave the block without an error."""

    def store() -> str:
        for attempt in attempts(QUICK):
            with attempt as session:
                session.add(sqlite_kit.Item(name="returned"))
                return "done"
        raise AssertionError

    with sqlite_kit.app.app_context():
        assert store() == "done"
        for attempt in attempts(QUICK):
            with attempt as session:
                session.add(sqlite_kit.Item(name="broken off"))
                break
    assert sqlite_kit.names() == ["broken off", "returned"]


def test_a_failing_commit_is_tried_again(make_kit: MakeKit) -> None:
    """SQLite's COMMIT waits for readers; the one of the first try has gone when the second one comes."""
    kit = make_kit(engine_options={"connect_args": {"timeout": 0}})
    reader, tries = kit.engine.raw_connection(), []
    reader.cursor().execute("BEGIN").execute("SELECT * FROM item").fetchall()
    with kit.app.app_context():
        for attempt in attempts(QUICK):
            with attempt as session:
                tries.append(session)
                session.add(kit.Item(name="a"))
                on_rollback(reader.close)
    assert (len(tries), kit.names()) == (2, ["a"])


def test_inside_a_scope_there_is_one_try(sqlite_kit: Kit) -> None:
    """It joins the scope, whose owner may try again."""
    tries = []
    with sqlite_kit.app.app_context(), pytest.raises(Exception, match="locked"):
        with session_manager() as outer:
            for attempt in attempts(QUICK):
                with attempt as session:
                    tries.append(session is outer)
                    raise locked()
    assert tries == [True]


def test_options_of_the_scope(kit: Kit) -> None:
    """A level, a name and so on hold in each try."""
    with kit.app.app_context():
        for attempt in kit.safe.attempts(3, isolation_level="SERIALIZABLE", name="transfer"):
            with attempt:
                scope = current_scope()
                assert scope is not None
                seen = (scope.name, scope.options.isolation_level)
    assert seen == ("transfer", "SERIALIZABLE")


def test_the_name_of_the_scope_is_that_of_the_function(sqlite_kit: Kit) -> None:
    """Its place is the line of ``attempts()``."""
    with sqlite_kit.app.app_context():
        for attempt in attempts():
            with attempt:
                scope = current_scope()
                assert scope is not None
                assert scope.name == "test_the_name_of_the_scope_is_that_of_the_function"


def test_an_attempt_that_is_not_entered_is_an_error(sqlite_kit: Kit) -> None:
    """Otherwise the loop would never end."""
    with sqlite_kit.app.app_context(), pytest.raises(NoTransactionError, match="not entered"):
        for _ in attempts(QUICK):
            pass


def test_an_attempt_is_entered_once(sqlite_kit: Kit) -> None:
    """The next try is the next round of the loop."""
    with sqlite_kit.app.app_context():
        for attempt in attempts(QUICK):
            with attempt as session:
                assert isinstance(session, Session)
            with pytest.raises(TransactionActiveError, match="entered again"), attempt:
                pass


def test_it_needs_an_app_context(sqlite_kit: Kit) -> None:
    """As every scope does."""
    with pytest.raises(NoAppError):
        for attempt in attempts():
            with attempt:
                pass
    with pytest.raises(NoAppError):
        for attempt in sqlite_kit.safe.attempts():
            with attempt:
                pass


@pytest.mark.parametrize("off", [False, 1])
def test_one_try(sqlite_kit: Kit, off: int) -> None:
    """A policy can be switched off, for example by a setting of the app."""
    tries = []
    with sqlite_kit.app.app_context(), pytest.raises(Exception, match="locked"):
        for attempt in attempts(off):
            with attempt:
                tries.append(1)
                raise locked()
    assert tries == [1]
