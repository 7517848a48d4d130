"""What runs after the outcome: in which order, after which end, and what happens when a hook fails."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from flask_safesession import (
    SafeSession,
    current_scope,
    on_commit,
    on_rollback,
    on_unknown,
    session_manager,
    transactional,
)
from flask_safesession.errors import NoTransactionError
from flask_safesession.testing import Faults

from .conftest import MakeKit
from .kit import AsyncKit

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup
REGISTER = pytest.mark.parametrize("register", [on_commit, on_rollback, on_unknown])


def _fail(message: str) -> None:
    raise ValueError(message)


async def test_hooks_run_first_in_first_out(kit: AsyncKit, ran: list[Any]) -> None:
    """In the order of their registration, from whichever scope."""
    async with session_manager():
        on_commit(ran.append, 1)
        async with session_manager():
            on_commit(ran.append, 2)
        async with session_manager(propagation="nested"):
            on_commit(ran.append, 3)
        on_commit(ran.append, 4)
    assert ran == [1, 2, 3, 4]


async def test_hooks_get_their_arguments(sqlite_kit: AsyncKit, ran: list[Any]) -> None:
    """Positional and by keyword, as they were when the hook was registered."""

    def hook(*args: int, **kwargs: int) -> None:
        ran.append((args, kwargs))

    async with session_manager():
        on_commit(hook, 1, 2, three=3)
    assert ran == [((1, 2), {"three": 3})]


async def test_registering_works_as_a_decorator(sqlite_kit: AsyncKit, ran: list[Any]) -> None:
    """The function is returned, and stays a function."""
    async with session_manager():

        @on_commit
        def note() -> str:
            ran.append("hook")
            return "called directly"

        assert note() == "called directly"
    assert ran == ["hook", "hook"]


async def test_a_hook_that_was_registered_twice_runs_twice(
    sqlite_kit: AsyncKit, ran: list[Any]
) -> None:
    """Nothing is merged."""
    async with session_manager():
        on_commit(ran.append, "same")
        on_commit(ran.append, "same")
    assert ran == ["same", "same"]


async def test_hooks_run_after_the_outermost_commit(kit: AsyncKit, ran: list[Any]) -> None:
    """Neither a joined scope's end nor the release of a savepoint is one."""
    async with session_manager() as session:
        async with session_manager():
            session.add(kit.Item(name="stored"))
            on_commit(lambda: ran.extend(kit.names()))
        async with session_manager(propagation="nested"):
            on_commit(ran.append, "second")
        async with session.begin_nested():
            on_commit(ran.append, "third")
        assert ran == []
    assert ran == ["stored", "second", "third"]


async def test_the_connection_is_back_when_hooks_run(kit: AsyncKit, ran: list[Any]) -> None:
    """A slow hook holds no connection, and there is no scope around it."""
    async with session_manager() as session:
        session.add(kit.Item(name="item"))
        on_commit(lambda: ran.append((kit.checkedout(), current_scope())))
    assert ran == [(0, None)]


async def test_the_connection_is_back_after_a_rollback_too(kit: AsyncKit, ran: list[Any]) -> None:
    """The same for ``on_rollback``."""
    with pytest.raises(KeyError):
        async with session_manager() as session:
            await session.execute(select(kit.Item))
            on_rollback(lambda: ran.append((kit.checkedout(), current_scope())))
            raise KeyError
    assert ran == [(0, None)]


async def test_no_commit_hook_runs_after_a_rollback(kit: AsyncKit, ran: list[Any]) -> None:
    """Only what waited for the rollback runs, and only then."""
    with pytest.raises(KeyError):
        async with session_manager():
            on_commit(ran.append, "commit")
            on_rollback(ran.append, "rollback")
            on_unknown(ran.append, "unknown")
            assert ran == []
            raise KeyError
    assert ran == ["rollback"]


async def test_no_rollback_hook_runs_after_a_commit(kit: AsyncKit, ran: list[Any]) -> None:
    """And none that waits for a lost reply."""
    async with session_manager():
        on_rollback(ran.append, "rollback")
        on_unknown(ran.append, "unknown")
        on_commit(ran.append, "commit")
    assert ran == ["commit"]


async def test_rollback_hooks_run_where_the_commit_fails(kit: AsyncKit, ran: list[Any]) -> None:
    """The last flush fails: that is a rollback like any other."""
    with pytest.raises(IntegrityError):
        async with session_manager() as session:
            on_commit(ran.append, "commit")
            on_rollback(ran.append, "rollback")
            session.add_all([kit.Item(name="twice"), kit.Item(name="twice")])
    assert ran == ["rollback"]


async def test_rollback_hooks_run_where_the_database_refuses_the_commit(
    kit: AsyncKit, ran: list[Any]
) -> None:
    """Nothing is stored, and no hook runs that waits for that."""
    with Faults(kit.app) as faults:
        faults.fail("commit", error="lock_timeout")
        with pytest.raises(DBAPIError):
            async with session_manager() as session:
                on_commit(ran.append, "commit")
                on_rollback(ran.append, "rollback")
                session.add(kit.Item(name="lost"))
    assert (ran, kit.names()) == (["rollback"], [])


async def test_rollback_hooks_run_after_a_quiet_rollback(
    sqlite_kit: AsyncKit, ran: list[Any]
) -> None:
    """``set_rollback_only()`` in the owner's own block."""
    async with session_manager():
        on_commit(ran.append, "commit")
        on_rollback(ran.append, "rollback")
        scope = current_scope()
        assert scope is not None
        scope.set_rollback_only()
    assert ran == ["rollback"]


async def test_hooks_are_dropped_with_their_savepoint(kit: AsyncKit, ran: list[Any]) -> None:
    """Those before and after it are not."""
    async with session_manager():
        on_commit(ran.append, "before")
        with pytest.raises(KeyError):
            async with session_manager(propagation="nested"):
                on_commit(ran.append, "dropped")
                raise KeyError
        on_commit(ran.append, "after")
    assert ran == ["before", "after"]


async def test_hooks_are_dropped_with_an_outer_savepoint(kit: AsyncKit, ran: list[Any]) -> None:
    """The inner savepoint was released, and the one around it rolled back."""
    async with session_manager() as session:
        with pytest.raises(KeyError):
            async with session.begin_nested():
                async with session.begin_nested():
                    async with session_manager(propagation="nested"):
                        on_commit(ran.append, "dropped")
                raise KeyError
        on_commit(ran.append, "kept")
    assert ran == ["kept"]


async def test_a_rollback_hook_waits_for_the_outermost_end(kit: AsyncKit, ran: list[Any]) -> None:
    """A savepoint's rollback is not the transaction's: after a commit such a hook never runs."""
    async with session_manager():
        with pytest.raises(KeyError):
            async with session_manager(propagation="nested"):
                on_rollback(ran.append, "rollback")
                raise KeyError
        assert ran == []
    assert ran == []


async def test_a_hook_may_register_hooks(sqlite_kit: AsyncKit, ran: list[Any]) -> None:
    """They run after those that were queued before, in the same drain."""

    def first() -> None:
        ran.append("first")
        on_commit(ran.append, "third")
        on_rollback(ran.append, "never")

    async with session_manager():
        on_commit(first)
        on_commit(ran.append, "second")
    assert ran == ["first", "second", "third"]


async def test_a_hook_may_open_its_own_scope(kit: AsyncKit, ran: list[Any]) -> None:
    """What it stores is committed, and the hooks of that scope run at its end."""

    async def hook() -> None:
        async with session_manager() as session:
            session.add(kit.Item(name="from the hook"))
            on_commit(ran.append, "inner")
            assert ran == []
        ran.append("outer")

    async with session_manager():
        on_commit(hook)
    assert (ran, kit.names()) == (["inner", "outer"], ["from the hook"])


async def test_the_rollback_of_a_hook_changes_nothing_that_is_stored(
    kit: AsyncKit, ran: list[Any]
) -> None:
    """The transaction is over; only the hook's own one fails."""

    async def hook() -> None:
        with pytest.raises(KeyError):
            async with session_manager() as session:
                session.add(kit.Item(name="lost"))
                on_rollback(ran.append, "rollback")
                raise KeyError

    async with session_manager() as session:
        session.add(kit.Item(name="stored"))
        on_commit(hook)
    assert (ran, kit.names()) == (["rollback"], ["stored"])


async def test_a_failing_hook_keeps_no_other_from_running(
    sqlite_kit: AsyncKit, ran: list[Any]
) -> None:
    """All run, and then the error is raised, because the app is testing."""
    with pytest.raises(ValueError, match="first"):
        async with session_manager() as session:
            session.add(sqlite_kit.Item(name="stored"))
            on_commit(_fail, "first")
            on_commit(ran.append, "second")
    assert (ran, sqlite_kit.names()) == (["second"], ["stored"])


async def test_several_failures_are_raised_together(sqlite_kit: AsyncKit, ran: list[Any]) -> None:
    """As an ``ExceptionGroup``, in the order of the hooks."""
    with pytest.raises(ExceptionGroup) as caught:
        async with session_manager():
            on_commit(_fail, "one")
            on_commit(ran.append, "between")
            on_commit(_fail, "two")
    assert [str(each) for each in caught.value.exceptions] == ["one", "two"]
    assert ran == ["between"]


async def test_a_hooks_error_does_not_replace_the_scopes_own(sqlite_kit: AsyncKit) -> None:
    """It becomes a note of the exception that rolled the transaction back."""
    error = KeyError("the cause")
    with pytest.raises(KeyError) as caught:
        async with session_manager():
            on_rollback(_fail, "hook")
            raise error
    assert caught.value is error
    assert vars(caught.value)["__notes__"] == ["A hook failed after the rollback: ValueError: hook"]


async def test_an_interrupt_in_a_hook_is_not_held_back(
    sqlite_kit: AsyncKit, ran: list[Any]
) -> None:
    """Ctrl-C ends the program, and the next scope works."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with session_manager():
            on_commit(interrupt)
    async with session_manager():
        on_commit(ran.append, "next")
    assert ran == ["next"]


@REGISTER
async def test_what_cannot_be_called_is_refused(
    sqlite_kit: AsyncKit, register: Callable[..., Any]
) -> None:
    """For example the result of a call that was meant as the hook."""
    async with session_manager():
        with pytest.raises(TypeError, match="Give a function, not its result"):
            register(None)


@REGISTER
async def test_registering_without_a_transaction_is_an_error(
    kit: AsyncKit, register: Callable[..., Any]
) -> None:
    """It would never run, or with somebody else's transaction."""
    with pytest.raises(NoTransactionError, match="'_fail' was registered while no transaction"):
        register(_fail, "never")


async def test_the_methods_of_the_extension_do_the_same(
    sqlite_kit: AsyncKit, ran: list[Any]
) -> None:
    """Bound to their app."""
    safe: SafeSession = sqlite_kit.safe
    async with safe.session_manager():
        safe.on_commit(ran.append, "commit")
        safe.on_unknown(ran.append, "unknown")
    with pytest.raises(KeyError):
        async with safe.session_manager():
            safe.on_rollback(ran.append, "rollback")
            raise KeyError
    assert ran == ["commit", "rollback"]


async def test_hooks_run_after_a_decorated_function(kit: AsyncKit, ran: list[Any]) -> None:
    """Before its caller goes on."""

    @transactional
    async def work() -> str:
        on_commit(ran.append, "hook")
        return "returned"

    ran.append(await work())
    assert ran == ["hook", "returned"]


@pytest.mark.parametrize("database_name", ["asyncpg", "asyncmy"])
async def test_hooks_of_a_new_transaction_run_after_its_own_commit(
    make_kit: MakeKit, ran: list[Any], database_name: str
) -> None:
    """``requires_new`` ends before the outer scope does, whatever becomes of that."""
    kit = make_kit(database_name)
    with kit.app.app_context(), pytest.raises(KeyError):
        async with session_manager() as outer:
            outer.add(kit.Item(name="outer"))
            await outer.flush()
            on_commit(ran.append, "outer")
            async with session_manager(propagation="requires_new") as inner:
                inner.add(kit.Item(name="inner"))
                on_commit(lambda: ran.extend(kit.names()))
            assert ran == ["inner"]
            raise KeyError
    assert ran == ["inner"]


async def test_a_hook_of_a_new_transaction_may_register_with_the_same_drain(
    sqlite_kit: AsyncKit, ran: list[Any]
) -> None:
    """It runs with the inner transaction's hooks, not with the outer's."""
    async with session_manager():
        on_commit(ran.append, "outer")
        async with session_manager(propagation="requires_new"):
            on_commit(lambda: on_commit(ran.append, "inner"))
        assert ran == ["inner"]
    assert ran == ["inner", "outer"]


async def test_a_hook_of_a_new_transaction_may_open_a_scope_that_joins(
    sqlite_kit: AsyncKit, ran: list[Any]
) -> None:
    """The outer scope is back by then."""

    async def hook() -> None:
        async with session_manager() as session:
            session.add(sqlite_kit.Item(name="joined"))
            on_commit(ran.append, "with the outer")

    async with session_manager():
        async with session_manager(propagation="requires_new"):
            on_commit(hook)
        assert ran == []
    assert (ran, sqlite_kit.names()) == (["with the outer"], ["joined"])


async def test_hooks_of_one_transaction_do_not_wait_for_the_next(
    kit: AsyncKit, ran: list[Any]
) -> None:
    """What a rollback dropped does not come back."""
    with pytest.raises(KeyError):
        async with session_manager():
            on_commit(ran.append, "first")
            raise KeyError
    async with session_manager():
        on_commit(ran.append, "second")
    assert ran == ["second"]


async def test_a_hook_without_a_name_is_named_by_its_repr(
    make_kit: MakeKit, caplog: pytest.LogCaptureFixture
) -> None:
    """So that the log line leads to it."""
    with make_kit(options={"hook_errors": "log"}).app.app_context():
        async with session_manager():
            on_commit(functools.partial(_fail, "from a partial"))
    assert "functools.partial(<function _fail" in caplog.text


class _Noting:
    """An object whose call is awaited."""

    def __init__(self, ran: list[Any]) -> None:
        self._ran = ran

    async def __call__(self, what: str) -> None:
        await asyncio.sleep(0)
        self._ran.append(what)


async def test_coroutine_functions_are_awaited_in_order(kit: AsyncKit, ran: list[Any]) -> None:
    """Each in its turn, between functions that are called."""

    async def note(what: str) -> None:
        await asyncio.sleep(0)
        ran.append(what)

    async with session_manager():
        on_commit(note, "first")
        on_commit(ran.append, "second")
        on_commit(_Noting(ran), "third")
        on_commit(functools.partial(note, "fourth"))
        assert ran == []
    assert ran == ["first", "second", "third", "fourth"]


async def test_a_coroutine_function_runs_after_a_rollback(
    sqlite_kit: AsyncKit, ran: list[Any]
) -> None:
    """The same for ``on_rollback``."""
    with pytest.raises(KeyError):
        async with session_manager():
            on_rollback(_Noting(ran), "rolled back")
            raise KeyError
    assert ran == ["rolled back"]


async def test_a_coroutine_hook_may_open_a_scope(kit: AsyncKit, ran: list[Any]) -> None:
    """There is none around it, and the connection is back."""

    async def hook() -> None:
        ran.append((current_scope(), kit.checkedout()))
        async with session_manager() as session:
            session.add(kit.Item(name="second"))

    async with session_manager() as session:
        session.add(kit.Item(name="first"))
        on_commit(hook)
    assert (ran, kit.names()) == ([(None, 0)], ["first", "second"])


async def test_a_coroutine_hook_may_register_hooks(sqlite_kit: AsyncKit, ran: list[Any]) -> None:
    """They run after those that wait already."""

    async def hook() -> None:
        on_commit(ran.append, "last")
        ran.append("first")

    async with session_manager():
        on_commit(hook)
        on_commit(ran.append, "second")
    assert ran == ["first", "second", "last"]


async def test_a_failing_coroutine_hook_does_not_keep_others_from_running(
    sqlite_kit: AsyncKit, ran: list[Any]
) -> None:
    """In a test its error is raised afterwards."""

    async def hook() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        async with session_manager() as session:
            session.add(sqlite_kit.Item(name="stored"))
            on_commit(hook)
            on_commit(ran.append, "second")
    assert (ran, sqlite_kit.names()) == (["second"], ["stored"])


async def test_synchronous_code_inside_registers_hooks(kit: AsyncKit, ran: list[Any]) -> None:
    """A service that ``run_sync()`` runs finds the scope of its task."""

    def service(_: Session) -> None:
        assert current_scope() is not None
        on_commit(ran.append, "hook")
        on_commit(_Noting(ran), "coroutine")

    async with session_manager() as session:
        await session.run_sync(service)
    assert ran == ["hook", "coroutine"]


async def test_hooks_of_a_released_savepoint_stay_when_a_later_one_rolls_back(
    kit: AsyncKit, ran: list[Any]
) -> None:
    """Savepoints beside each other do not touch each other's hooks."""
    async with session_manager() as session:
        async with session.begin_nested():
            on_commit(ran.append, "kept")
        second = await session.begin_nested()
        on_commit(ran.append, "dropped")
        await second.rollback()
    assert ran == ["kept"]


async def test_a_hook_may_write_its_own_transaction(kit: AsyncKit) -> None:
    """``db.session`` is free again, also for a commit by hand."""

    async def hook() -> None:
        async with session_manager(propagation="supports") as session:
            session.add(kit.Item(name="by hand"))
            await session.commit()

    async with session_manager():
        on_commit(hook)
    assert kit.names() == ["by hand"]


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
async def test_hook_errors_are_logged_or_raised(
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
            async with session_manager():
                on_commit(_fail, "hook")
        except ValueError as error:
            caught.append(error)
    assert bool(caught) is raises
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("flask_safesession", logging.ERROR)
    assert "'_fail' failed" in record.getMessage()
    assert record.exc_info is not None


async def test_hooks_run_after_a_commit_by_hand(kit: AsyncKit, ran: list[Any]) -> None:
    """``db.session.commit()`` outside any scope."""
    async with session_manager(propagation="supports") as session:
        session.add(kit.Item(name="by hand"))
        await session.flush()
        on_commit(lambda: ran.extend(kit.names()))
        on_rollback(ran.append, "rollback")
        await session.commit()
        await session.commit()
    assert ran == ["by hand"]


@pytest.mark.parametrize("end", ["rollback", "close", "reset"])
async def test_rollback_hooks_run_after_an_end_by_hand(
    kit: AsyncKit, ran: list[Any], end: str
) -> None:
    """Each way in which a session drops its transaction."""
    async with session_manager(propagation="supports") as session:
        await session.execute(select(kit.Item))
        on_commit(ran.append, "commit")
        on_rollback(ran.append, "rollback")
        await getattr(session, end)()
    assert ran == ["rollback"]


async def test_rollback_hooks_run_after_an_invalidation_by_hand(
    kit: AsyncKit, ran: list[Any]
) -> None:
    """The connection is thrown away, and the transaction with it."""
    async with session_manager(propagation="supports") as session:
        await session.execute(select(kit.Item))
        on_rollback(ran.append, "rollback")
        await session.invalidate()
    assert ran == ["rollback"]


async def test_hooks_run_after_a_block_of_begin(kit: AsyncKit, ran: list[Any]) -> None:
    """When ``with session.begin():`` is left, not inside it."""
    async with session_manager(propagation="supports") as session:
        async with session.begin():
            on_commit(lambda: ran.append(session.in_transaction()))
            assert ran == []
    assert ran == [False]


async def test_rollback_hooks_run_after_a_block_of_begin(kit: AsyncKit, ran: list[Any]) -> None:
    """The exception leaves the block as it was."""
    async with session_manager(propagation="supports") as session:
        with pytest.raises(KeyError):
            async with session.begin():
                on_commit(ran.append, "commit")
                on_rollback(ran.append, "rollback")
                raise KeyError
    assert ran == ["rollback"]


async def test_hooks_run_after_the_commit_of_the_transaction_object(
    kit: AsyncKit, ran: list[Any]
) -> None:
    """``session.begin()`` gives an object that commits as well."""
    async with session_manager(propagation="supports") as session:
        transaction = await session.begin()
        on_commit(ran.append, "commit")
        await transaction.commit()
    assert ran == ["commit"]


async def test_rollback_hooks_run_after_the_end_of_the_transaction_object(
    kit: AsyncKit, ran: list[Any]
) -> None:
    """And ends it in another way."""
    async with session_manager(propagation="supports") as session:
        transaction = await session.begin()
        on_rollback(ran.append, "rollback")
        await transaction.rollback()
    assert ran == ["rollback"]


async def test_a_hook_of_a_block_of_begin_may_use_the_session(kit: AsyncKit) -> None:
    """SQLAlchemy forbids that inside the block; the hook runs after it."""

    async def hook() -> None:
        async with session_manager(propagation="supports") as session:
            session.add(kit.Item(name="from the hook"))
            await session.commit()

    async with session_manager(propagation="supports") as session:
        async with session.begin():
            on_commit(hook)
    assert kit.names() == ["from the hook"]


async def test_a_hook_by_hand_may_register_hooks(sqlite_kit: AsyncKit, ran: list[Any]) -> None:
    """As one of a scope may."""
    async with session_manager(propagation="supports") as session:
        await session.execute(select(sqlite_kit.Item))
        on_commit(lambda: on_commit(ran.append, "inner"))
        on_commit(ran.append, "outer")
        await session.commit()
    assert ran == ["outer", "inner"]


async def test_hooks_of_adopted_work_run_with_its_scope(kit: AsyncKit, ran: list[Any]) -> None:
    """What was registered before the scope adopted the transaction waits for the same COMMIT."""
    async with session_manager(propagation="supports") as session:
        await session.execute(select(kit.Item))
        on_commit(ran.append, "before")
        async with session_manager():
            on_commit(ran.append, "inside")
            assert ran == []
    assert ran == ["before", "inside"]


async def test_every_way_of_having_sessions_has_hooks(any_kit: AsyncKit, ran: list[Any]) -> None:
    """Flask-SQLAlchemy, Flask-SQLAlchemy-Lite, a sessionmaker and a scoped session."""
    async with session_manager():
        on_commit(ran.append, "commit")
    assert ran == ["commit"]
