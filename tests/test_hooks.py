"""What runs after the outcome: in which order, after which end, and what happens when a hook fails."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError

from flask_safesession import (
    SafeSession,
    current_scope,
    on_commit,
    on_rollback,
    on_unknown,
    session_manager,
    transactional,
)
from flask_safesession.errors import NoAppError, NoTransactionError
from flask_safesession.testing import Faults

from .kit import Kit, MakeKit

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

REGISTER = pytest.mark.parametrize("register", [on_commit, on_rollback, on_unknown])


@pytest.fixture
def ran() -> list[Any]:
    """What the hooks of a test noted, in order."""
    return []


def _fail(message: str) -> None:
    raise ValueError(message)


async def _coroutine() -> None: ...


class _Awaitable:
    async def __call__(self) -> None: ...


def test_hooks_run_first_in_first_out(kit: Kit, ran: list[Any]) -> None:
    """In the order of their registration, from whichever scope."""
    with kit.app.app_context(), session_manager():
        on_commit(ran.append, 1)
        with session_manager():
            on_commit(ran.append, 2)
        with session_manager(propagation="nested"):
            on_commit(ran.append, 3)
        on_commit(ran.append, 4)
    assert ran == [1, 2, 3, 4]


def test_hooks_get_their_arguments(sqlite_kit: Kit, ran: list[Any]) -> None:
    """Positional and by keyword, as they were when the hook was registered."""

    def hook(*args: int, **kwargs: int) -> None:
        ran.append((args, kwargs))

    with sqlite_kit.app.app_context(), session_manager():
        on_commit(hook, 1, 2, three=3)
    assert ran == [((1, 2), {"three": 3})]


def test_registering_works_as_a_decorator(sqlite_kit: Kit, ran: list[Any]) -> None:
    """The function is returned, and stays a function."""
    with sqlite_kit.app.app_context(), session_manager():

        @on_commit
        def note() -> str:
            ran.append("hook")
            return "called directly"

        assert note() == "called directly"
    assert ran == ["hook", "hook"]


def test_a_hook_that_was_registered_twice_runs_twice(sqlite_kit: Kit, ran: list[Any]) -> None:
    """Nothing is merged."""
    with sqlite_kit.app.app_context(), session_manager():
        on_commit(ran.append, "same")
        on_commit(ran.append, "same")
    assert ran == ["same", "same"]


def test_hooks_run_after_the_outermost_commit(kit: Kit, ran: list[Any]) -> None:
    """Neither a joined scope's end nor the release of a savepoint is one."""
    with kit.app.app_context(), session_manager() as session:
        with session_manager():
            session.add(kit.Item(name="stored"))
            on_commit(lambda: ran.extend(kit.names()))
        with session_manager(propagation="nested"):
            on_commit(ran.append, "second")
        with session.begin_nested():
            on_commit(ran.append, "third")
        assert ran == []
    assert ran == ["stored", "second", "third"]


def test_the_connection_is_back_when_hooks_run(kit: Kit, ran: list[Any]) -> None:
    """A slow hook holds no connection, and there is no scope around it."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="item"))
        on_commit(lambda: ran.append((kit.checkedout(), current_scope())))
    assert ran == [(0, None)]


def test_the_connection_is_back_after_a_rollback_too(kit: Kit, ran: list[Any]) -> None:
    """The same for ``on_rollback``."""
    with kit.app.app_context(), pytest.raises(KeyError), session_manager() as session:
        session.execute(select(kit.Item))
        on_rollback(lambda: ran.append((kit.checkedout(), current_scope())))
        raise KeyError
    assert ran == [(0, None)]


def test_no_commit_hook_runs_after_a_rollback(kit: Kit, ran: list[Any]) -> None:
    """Only what waited for the rollback runs, and only then."""
    with kit.app.app_context(), pytest.raises(KeyError), session_manager():
        on_commit(ran.append, "commit")
        on_rollback(ran.append, "rollback")
        on_unknown(ran.append, "unknown")
        assert ran == []
        raise KeyError
    assert ran == ["rollback"]


def test_no_rollback_hook_runs_after_a_commit(kit: Kit, ran: list[Any]) -> None:
    """And none that waits for a lost reply."""
    with kit.app.app_context(), session_manager():
        on_rollback(ran.append, "rollback")
        on_unknown(ran.append, "unknown")
        on_commit(ran.append, "commit")
    assert ran == ["commit"]


def test_rollback_hooks_run_where_the_commit_fails(kit: Kit, ran: list[Any]) -> None:
    """The last flush fails: that is a rollback like any other."""
    with kit.app.app_context(), pytest.raises(IntegrityError):
        with session_manager() as session:
            on_commit(ran.append, "commit")
            on_rollback(ran.append, "rollback")
            session.add_all([kit.Item(name="twice"), kit.Item(name="twice")])
    assert ran == ["rollback"]


def test_rollback_hooks_run_where_the_database_refuses_the_commit(
    kit: Kit, ran: list[Any], faults: Faults
) -> None:
    """Nothing is stored, and no hook runs that waits for that."""
    faults.fail("commit", error="serialization_failure")
    with kit.app.app_context(), pytest.raises(DBAPIError):
        with session_manager() as session:
            on_commit(ran.append, "commit")
            on_rollback(ran.append, "rollback")
            session.add(kit.Item(name="lost"))
    assert (ran, kit.names()) == (["rollback"], [])


def test_rollback_hooks_run_after_a_quiet_rollback(sqlite_kit: Kit, ran: list[Any]) -> None:
    """``set_rollback_only()`` in the owner's own block."""
    with sqlite_kit.app.app_context(), session_manager():
        on_commit(ran.append, "commit")
        on_rollback(ran.append, "rollback")
        scope = current_scope()
        assert scope is not None
        scope.set_rollback_only()
    assert ran == ["rollback"]


def test_hooks_are_dropped_with_their_savepoint(kit: Kit, ran: list[Any]) -> None:
    """Those before and after it are not."""
    with kit.app.app_context(), session_manager():
        on_commit(ran.append, "before")
        with pytest.raises(KeyError), session_manager(propagation="nested"):
            on_commit(ran.append, "dropped")
            raise KeyError
        on_commit(ran.append, "after")
    assert ran == ["before", "after"]


def test_hooks_are_dropped_with_an_outer_savepoint(kit: Kit, ran: list[Any]) -> None:
    """The inner savepoint was released, and the one around it rolled back."""
    with kit.app.app_context(), session_manager() as session:
        with pytest.raises(KeyError), session.begin_nested():
            with session.begin_nested():
                with session_manager(propagation="nested"):
                    on_commit(ran.append, "dropped")
            raise KeyError
        on_commit(ran.append, "kept")
    assert ran == ["kept"]


def test_hooks_of_a_released_savepoint_stay_when_a_later_one_rolls_back(
    kit: Kit, ran: list[Any]
) -> None:
    """Savepoints beside each other do not touch each other's hooks."""
    with kit.app.app_context(), session_manager() as session:
        with session.begin_nested():
            on_commit(ran.append, "kept")
        second = session.begin_nested()
        on_commit(ran.append, "dropped")
        second.rollback()
    assert ran == ["kept"]


def test_a_rollback_hook_waits_for_the_outermost_end(kit: Kit, ran: list[Any]) -> None:
    """A savepoint's rollback is not the transaction's: after a commit such a hook never runs."""
    with kit.app.app_context(), session_manager():
        with pytest.raises(KeyError), session_manager(propagation="nested"):
            on_rollback(ran.append, "rollback")
            raise KeyError
        assert ran == []
    assert ran == []


def test_a_hook_may_register_hooks(sqlite_kit: Kit, ran: list[Any]) -> None:
    """They run after those that were queued before, in the same drain."""

    def first() -> None:
        ran.append("first")
        on_commit(ran.append, "third")
        on_rollback(ran.append, "never")

    with sqlite_kit.app.app_context(), session_manager():
        on_commit(first)
        on_commit(ran.append, "second")
    assert ran == ["first", "second", "third"]


def test_a_hook_may_open_its_own_scope(kit: Kit, ran: list[Any]) -> None:
    """What it stores is committed, and the hooks of that scope run at its end."""

    def hook() -> None:
        with session_manager() as session:
            session.add(kit.Item(name="from the hook"))
            on_commit(ran.append, "inner")
            assert ran == []
        ran.append("outer")

    with kit.app.app_context(), session_manager():
        on_commit(hook)
    assert (ran, kit.names()) == (["inner", "outer"], ["from the hook"])


def test_a_hook_may_write_its_own_transaction(kit: Kit) -> None:
    """``db.session`` is free again, also for a commit by hand."""

    def hook() -> None:
        kit.db.session.add(kit.Item(name="by hand"))
        kit.db.session.commit()

    with kit.app.app_context(), session_manager():
        on_commit(hook)
    assert kit.names() == ["by hand"]


def test_the_rollback_of_a_hook_changes_nothing_that_is_stored(kit: Kit, ran: list[Any]) -> None:
    """The transaction is over; only the hook's own one fails."""

    def hook() -> None:
        with pytest.raises(KeyError), session_manager() as session:
            session.add(kit.Item(name="lost"))
            on_rollback(ran.append, "rollback")
            raise KeyError

    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="stored"))
        on_commit(hook)
    assert (ran, kit.names()) == (["rollback"], ["stored"])


def test_a_failing_hook_keeps_no_other_from_running(sqlite_kit: Kit, ran: list[Any]) -> None:
    """All run, and then the error is raised, because the app is testing."""
    with sqlite_kit.app.app_context(), pytest.raises(ValueError, match="first"):
        with session_manager() as session:
            session.add(sqlite_kit.Item(name="stored"))
            on_commit(_fail, "first")
            on_commit(ran.append, "second")
    assert (ran, sqlite_kit.names()) == (["second"], ["stored"])


def test_several_failures_are_raised_together(sqlite_kit: Kit, ran: list[Any]) -> None:
    """As an ``ExceptionGroup``, in the order of the hooks."""
    with sqlite_kit.app.app_context(), pytest.raises(ExceptionGroup) as caught:
        with session_manager():
            on_commit(_fail, "one")
            on_commit(ran.append, "between")
            on_commit(_fail, "two")
    assert [str(each) for each in caught.value.exceptions] == ["one", "two"]
    assert ran == ["between"]


@pytest.mark.parametrize(
    ("config", "testing", "raises"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"SAFESESSION_HOOK_ERRORS": "log"}, True, False),
        ({"SAFESESSION_HOOK_ERRORS": "raise"}, False, True),
        ({"SAFESESSION_HOOK_ERRORS": None}, True, True),
    ],
)
def test_hook_errors_are_logged_or_raised(
    make_kit: MakeKit,
    caplog: pytest.LogCaptureFixture,
    config: dict[str, str],
    testing: bool,
    raises: bool,
) -> None:
    """Raised by default where ``app.testing``; logged with the hook's name and its traceback always."""
    kit = make_kit(config={**config, "TESTING": testing})
    caught = []
    with kit.app.app_context():
        try:
            with session_manager():
                on_commit(_fail, "hook")
        except ValueError as error:
            caught.append(error)
    assert bool(caught) is raises
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("flask_safesession", logging.ERROR)
    assert "'_fail' failed" in record.getMessage()
    assert record.exc_info is not None


def test_a_hooks_error_does_not_replace_the_scopes_own(sqlite_kit: Kit) -> None:
    """It becomes a note of the exception that rolled the transaction back."""
    error = KeyError("the cause")
    with sqlite_kit.app.app_context(), pytest.raises(KeyError) as caught:
        with session_manager():
            on_rollback(_fail, "hook")
            raise error
    assert caught.value is error
    assert vars(caught.value)["__notes__"] == ["A hook failed after the rollback: ValueError: hook"]


def test_an_interrupt_in_a_hook_is_not_held_back(sqlite_kit: Kit, ran: list[Any]) -> None:
    """Ctrl-C ends the program, and the next scope works."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with sqlite_kit.app.app_context():
        with pytest.raises(KeyboardInterrupt), session_manager():
            on_commit(interrupt)
        with session_manager():
            on_commit(ran.append, "next")
    assert ran == ["next"]


@REGISTER
@pytest.mark.parametrize("hook", [_coroutine, _Awaitable(), functools.partial(_coroutine)])
def test_a_coroutine_function_is_refused(
    sqlite_kit: Kit, register: Callable[..., Any], hook: Callable[..., Any]
) -> None:
    """Nobody would await it; the error comes from the line that registers it."""
    with sqlite_kit.app.app_context(), session_manager():
        with pytest.raises(TypeError, match="is a coroutine function"):
            register(hook)


@REGISTER
def test_what_cannot_be_called_is_refused(sqlite_kit: Kit, register: Callable[..., Any]) -> None:
    """For example the result of a call that was meant as the hook."""
    with sqlite_kit.app.app_context(), session_manager():
        with pytest.raises(TypeError, match="Give a function, not its result"):
            register(None)


@REGISTER
def test_registering_without_a_transaction_is_an_error(
    kit: Kit, register: Callable[..., Any]
) -> None:
    """It would never run, or with somebody else's transaction."""
    with kit.app.app_context():
        with pytest.raises(NoTransactionError, match="'_fail' was registered while no transaction"):
            register(_fail, "never")


@REGISTER
def test_registering_without_a_context_is_an_error(register: Callable[..., Any]) -> None:
    """There is no session, and so no transaction."""
    with pytest.raises(NoAppError, match="outside of any application context"):
        register(_fail, "never")


def test_registering_in_an_app_without_the_extension_is_an_error(make_kit: MakeKit) -> None:
    """The error names the app."""
    kit = make_kit(safe=False)
    with kit.app.app_context(), pytest.raises(NoAppError, match="has no SafeSession"):
        on_commit(_fail, "never")


def test_a_refused_registration_leaves_the_scope_as_it_was(sqlite_kit: Kit, ran: list[Any]) -> None:
    """Neither poisoned nor with a hook too many."""
    with sqlite_kit.app.app_context(), session_manager():
        on_commit(ran.append, "kept")
        with pytest.raises(TypeError):
            on_commit(_coroutine)
    assert ran == ["kept"]


def test_the_methods_of_the_extension_do_the_same(sqlite_kit: Kit, ran: list[Any]) -> None:
    """Bound to their app."""
    safe: SafeSession = sqlite_kit.safe
    with sqlite_kit.app.app_context():
        with safe.session_manager():
            safe.on_commit(ran.append, "commit")
            safe.on_unknown(ran.append, "unknown")
        with pytest.raises(KeyError), safe.session_manager():
            safe.on_rollback(ran.append, "rollback")
            raise KeyError
    assert ran == ["commit", "rollback"]


def test_hooks_run_after_a_decorated_function(kit: Kit, ran: list[Any]) -> None:
    """Before its caller goes on."""

    @transactional
    def work() -> str:
        on_commit(ran.append, "hook")
        return "returned"

    with kit.app.app_context():
        ran.append(work())
    assert ran == ["hook", "returned"]


def test_hooks_run_after_a_commit_by_hand(kit: Kit, ran: list[Any]) -> None:
    """``db.session.commit()`` outside any scope."""
    with kit.app.app_context():
        session = kit.db.session
        session.add(kit.Item(name="by hand"))
        session.flush()
        on_commit(lambda: ran.extend(kit.names()))
        on_rollback(ran.append, "rollback")
        session.commit()
        session.commit()
    assert ran == ["by hand"]


@pytest.mark.parametrize("end", ["rollback", "close", "reset", "remove"])
def test_rollback_hooks_run_after_an_end_by_hand(kit: Kit, ran: list[Any], end: str) -> None:
    """Each way in which a session drops its transaction."""
    with kit.app.app_context():
        session = kit.db.session
        session.execute(select(kit.Item))
        on_commit(ran.append, "commit")
        on_rollback(ran.append, "rollback")
        getattr(session, end)()
    assert ran == ["rollback"]


def test_rollback_hooks_run_after_an_invalidation_by_hand(kit: Kit, ran: list[Any]) -> None:
    """The connection is thrown away, and the transaction with it."""
    with kit.app.app_context():
        session = kit.db.session()
        session.execute(select(kit.Item))
        on_rollback(ran.append, "rollback")
        session.invalidate()
    assert ran == ["rollback"]


def test_rollback_hooks_run_at_the_end_of_the_context(kit: Kit, ran: list[Any]) -> None:
    """A transaction that nobody ended ends with its context."""
    with kit.app.app_context():
        kit.db.session.execute(select(kit.Item))
        on_commit(ran.append, "commit")
        on_rollback(ran.append, "rollback")
    assert ran == ["rollback"]


def test_hooks_run_after_a_block_of_begin(kit: Kit, ran: list[Any]) -> None:
    """When ``with session.begin():`` is left, not inside it."""
    with kit.app.app_context():
        with kit.db.session.begin():
            on_commit(lambda: ran.append(kit.db.session().in_transaction()))
            assert ran == []
        assert ran == [False]


def test_rollback_hooks_run_after_a_block_of_begin(kit: Kit, ran: list[Any]) -> None:
    """The exception leaves the block as it was."""
    with kit.app.app_context():
        with pytest.raises(KeyError), kit.db.session.begin():
            on_commit(ran.append, "commit")
            on_rollback(ran.append, "rollback")
            raise KeyError
    assert ran == ["rollback"]


def test_hooks_run_after_the_commit_of_the_transaction_object(kit: Kit, ran: list[Any]) -> None:
    """``session.begin()`` gives an object that commits as well."""
    with kit.app.app_context():
        transaction = kit.db.session.begin()
        on_commit(ran.append, "commit")
        transaction.commit()
    assert ran == ["commit"]


@pytest.mark.parametrize("end", ["rollback", "close"])
def test_rollback_hooks_run_after_the_end_of_the_transaction_object(
    kit: Kit, ran: list[Any], end: str
) -> None:
    """And ends it in other ways."""
    with kit.app.app_context():
        transaction = kit.db.session.begin()
        on_rollback(ran.append, "rollback")
        getattr(transaction, end)()
    assert ran == ["rollback"]


def test_a_hook_of_a_block_of_begin_may_use_the_session(kit: Kit) -> None:
    """SQLAlchemy forbids that inside the block; the hook runs after it."""

    def hook() -> None:
        kit.db.session.add(kit.Item(name="from the hook"))
        kit.db.session.commit()

    with kit.app.app_context(), kit.db.session.begin():
        on_commit(hook)
    assert kit.names() == ["from the hook"]


def test_a_hook_by_hand_may_register_hooks(sqlite_kit: Kit, ran: list[Any]) -> None:
    """As one of a scope may."""
    with sqlite_kit.app.app_context():
        sqlite_kit.db.session.execute(select(sqlite_kit.Item))
        on_commit(lambda: on_commit(ran.append, "inner"))
        on_commit(ran.append, "outer")
        sqlite_kit.db.session.commit()
    assert ran == ["outer", "inner"]


def test_hooks_of_adopted_work_run_with_its_scope(kit: Kit, ran: list[Any]) -> None:
    """What was registered before the scope adopted the transaction waits for the same COMMIT."""
    with kit.app.app_context():
        kit.db.session.execute(select(kit.Item))
        on_commit(ran.append, "before")
        with session_manager():
            on_commit(ran.append, "inside")
            assert ran == []
    assert ran == ["before", "inside"]


@pytest.mark.parametrize("database_name", ["postgresql-psycopg", "mariadb-pymysql"])
def test_hooks_of_a_new_transaction_run_after_its_own_commit(
    make_kit: MakeKit, ran: list[Any], database_name: str
) -> None:
    """``requires_new`` ends before the outer scope does, whatever becomes of that."""
    kit = make_kit(database_name)
    with kit.app.app_context(), pytest.raises(KeyError), session_manager() as outer:
        outer.add(kit.Item(name="outer"))
        outer.flush()
        on_commit(ran.append, "outer")
        with session_manager(propagation="requires_new") as inner:
            inner.add(kit.Item(name="inner"))
            on_commit(lambda: ran.extend(kit.names()))
        assert ran == ["inner"]
        raise KeyError
    assert ran == ["inner"]


def test_a_hook_of_a_new_transaction_may_register_with_the_same_drain(
    sqlite_kit: Kit, ran: list[Any]
) -> None:
    """It runs with the inner transaction's hooks, not with the outer's."""
    with sqlite_kit.app.app_context(), session_manager():
        on_commit(ran.append, "outer")
        with session_manager(propagation="requires_new"):
            on_commit(lambda: on_commit(ran.append, "inner"))
        assert ran == ["inner"]
    assert ran == ["inner", "outer"]


def test_a_hook_of_a_new_transaction_may_open_a_scope_that_joins(
    sqlite_kit: Kit, ran: list[Any]
) -> None:
    """The outer scope is back by then."""

    def hook() -> None:
        with session_manager() as session:
            session.add(sqlite_kit.Item(name="joined"))
            on_commit(ran.append, "with the outer")

    with sqlite_kit.app.app_context(), session_manager():
        with session_manager(propagation="requires_new"):
            on_commit(hook)
        assert ran == []
    assert (ran, sqlite_kit.names()) == (["with the outer"], ["joined"])


def test_hooks_of_one_transaction_do_not_wait_for_the_next(kit: Kit, ran: list[Any]) -> None:
    """What a rollback dropped does not come back."""
    with kit.app.app_context():
        with pytest.raises(KeyError), session_manager():
            on_commit(ran.append, "first")
            raise KeyError
        with session_manager():
            on_commit(ran.append, "second")
    assert ran == ["second"]


def test_every_way_of_having_sessions_has_hooks(any_kit: Kit, ran: list[Any]) -> None:
    """Flask-SQLAlchemy, Flask-SQLAlchemy-Lite, a sessionmaker and a scoped session."""
    with any_kit.app.app_context(), session_manager():
        on_commit(ran.append, "commit")
    assert ran == ["commit"]


def test_a_hook_without_a_name_is_named_by_its_repr(
    make_kit: MakeKit, caplog: pytest.LogCaptureFixture
) -> None:
    """So that the log line leads to it."""
    kit = make_kit(options={"hook_errors": "log"})
    with kit.app.app_context(), session_manager():
        on_commit(functools.partial(_fail, "from a partial"))
    assert "functools.partial(<function _fail" in caplog.text
