"""Findings of reviews, in coroutines: each of these went wrong once in synchronous code."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import jsonify
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession import on_commit, on_rollback, session_manager, transactional
from flask_safesession.errors import (
    IsolationMismatchError,
    NoTransactionError,
    TransactionActiveError,
    UnexpectedRollbackError,
)

from .conftest import MakeKit
from .kit import AsyncKit, current_session


def _notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", []))


async def test_one_scope_object_is_not_entered_twice(sqlite_kit: AsyncKit) -> None:
    """The second ``with`` of the same object would leave the frame of the first."""
    manager = session_manager()
    async with manager as session:
        session.add(sqlite_kit.Item(name="kept"))
        with pytest.raises(TransactionActiveError, match=r"'session_manager\(\)'"):
            async with manager:
                pass
    assert sqlite_kit.names() == ["kept"]


async def test_hooks_run_once_after_an_adopted_scope(kit: AsyncKit) -> None:
    """The transaction that ``add()`` began is ended by the scope, and its hooks by nobody else."""
    ran: list[str] = []
    (await current_session()).add(kit.Item(name="before"))
    async with session_manager():
        on_commit(ran.append, "commit")
    assert ran == ["commit"]
    assert (ran, kit.names()) == (["commit"], ["before"])


async def test_a_hook_registers_nothing_in_a_context_without_a_transaction(
    sqlite_kit: AsyncKit,
) -> None:
    """The transaction of the hook belongs to another context."""

    def hook() -> None:
        with sqlite_kit.app.app_context():
            on_commit(print, "never")

    with sqlite_kit.app.app_context():
        with pytest.raises(NoTransactionError, match="'print' was registered"):
            async with session_manager():
                on_commit(hook)


async def test_a_hook_registers_another_in_its_own_context(sqlite_kit: AsyncKit) -> None:
    """Both run, in their order."""
    ran: list[str] = []

    def hook() -> None:
        ran.append("first")
        on_commit(ran.append, "last")

    async with session_manager():
        on_commit(hook)
        on_commit(ran.append, "second")
    assert ran == ["first", "second", "last"]


async def test_hooks_that_an_interrupt_cut_off_are_logged(
    sqlite_kit: AsyncKit, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody waits for what they would have done."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    def mail_the_boss() -> None:
        raise AssertionError

    def tell_the_team() -> None:
        raise AssertionError

    with caplog.at_level(logging.ERROR, "flask_safesession"):
        with pytest.raises(KeyboardInterrupt):
            async with session_manager():
                for hook in (interrupted, mail_the_boss, tell_the_team):
                    on_commit(hook)
    assert "mail_the_boss" in caplog.text
    assert "tell_the_team" in caplog.text


async def test_an_interrupt_of_the_last_hook_cuts_off_nothing(
    sqlite_kit: AsyncKit, caplog: pytest.LogCaptureFixture
) -> None:
    """Hooks that wait for another outcome would not have run anyway."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    def never() -> None:
        raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        async with session_manager():
            on_commit(interrupted)
            on_rollback(never)
    assert "never" not in caplog.text


@pytest.mark.parametrize("mode", ["warn", "raise"])
async def test_a_failing_block_without_a_scope_reports_nothing_else(
    make_kit: MakeKit, mode: str
) -> None:
    """Its own exception says why its changes are not stored."""
    kit = make_kit(options={"uncommitted": mode})
    with kit.app.app_context():
        async with session_manager():
            with pytest.raises(ValueError, match="mine") as caught:
                async with session_manager(propagation="not_supported") as session:
                    session.add(kit.Item(name="lost"))
                    raise ValueError("mine")
    assert _notes(caught.value) == []
    assert (kit.names(), kit.checkedout()) == ([], 0)


async def test_a_transaction_ended_underneath_is_a_note_of_the_exception(kit: AsyncKit) -> None:
    """The rollback came too late for what somebody else has committed."""
    with pytest.raises(ValueError, match="mine") as caught:
        async with session_manager() as session:
            session.add(kit.Item(name="stored by somebody else"))
            await session.flush()
            transaction = (await session.connection()).get_transaction()
            assert transaction is not None
            await transaction.commit()
            raise ValueError("mine")
    assert kit.checkedout() == 0
    assert any("ended by somebody else" in note for note in _notes(caught.value))


@pytest.mark.parametrize("let_out", [False, True], ids=["inside", "outside"])
async def test_a_joined_timeout_on_a_failed_transaction_is_unexpected(
    make_kit: MakeKit, let_out: bool
) -> None:
    """Setting the timeout back fails in a failed transaction, which hid why it had failed."""
    kit = make_kit("asyncpg")

    async def fail(session: AsyncSession) -> None:
        await session.execute(text("SELECT 1 / 0"))

    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError):
            async with session_manager() as session:
                session.add(kit.Item(name="lost"))
                if let_out:
                    with pytest.raises(DBAPIError):
                        async with session_manager(timeout=5) as inner:
                            await fail(inner)
                else:
                    async with session_manager(timeout=5) as inner:
                        with pytest.raises(DBAPIError):
                            await fail(inner)
    assert (kit.names(), kit.checkedout()) == ([], 0)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "asyncmy", "aiomysql"])
async def test_an_autocommit_engine_is_refused(make_kit: MakeKit, driver: str) -> None:
    """A rollback of the scope would undo nothing."""
    kit = make_kit(driver, engine_options={"isolation_level": "AUTOCOMMIT"})
    with kit.app.app_context():
        with pytest.raises(IsolationMismatchError, match="AUTOCOMMIT"):
            async with session_manager() as session:
                session.add(kit.Item(name="at once"))
                await session.flush()
        assert (kit.names(), kit.checkedout()) == ([], 0)


NO_RESPONSES = [lambda: None, lambda: {1, 2}, lambda: ("a", "b", "c", "d"), lambda: {"a": object()}]


@pytest.fixture
def portal_kit(make_kit: MakeKit) -> AsyncKit:
    """A kit whose views run on the portal, which keeps no thread of asgiref alive with an error."""
    return make_kit(config={"SAFESESSION_ASYNC_PORTAL": True})


def _serve(kit: AsyncKit, value: Callable[[], Any]) -> None:
    @kit.app.route("/")
    @transactional
    async def view() -> Any:
        (await current_session()).add(kit.Item(name="of the view"))
        return value()


@pytest.mark.parametrize("value", NO_RESPONSES)
def test_a_view_that_returns_no_response_stores_nothing(
    portal_kit: AsyncKit, value: Callable[[], Any]
) -> None:
    """The client gets a 500, and would send the request again."""
    _serve(portal_kit, value)
    portal_kit.app.testing = False
    portal_kit.app.logger.disabled = True
    assert portal_kit.client.get("/").status_code == 500
    assert (portal_kit.names(), portal_kit.checkedout()) == ([], 0)


@pytest.mark.parametrize("value", NO_RESPONSES)
def test_the_error_of_a_view_that_returns_no_response_is_flasks(
    portal_kit: AsyncKit, value: Callable[[], Any]
) -> None:
    """A test sees Flask's own sentence."""
    _serve(portal_kit, value)
    with pytest.raises(TypeError, match=r"valid response|not JSON serializable|response tuple"):
        portal_kit.client.get("/")
    assert portal_kit.names() == []


@pytest.mark.parametrize(
    ("value", "status", "body"),
    [
        (lambda: "x", 200, b"x"),
        (lambda: b"x", 200, b"x"),
        (lambda: ("x", 201), 201, b"x"),
        (lambda: ("x", {"X-Mark": "1"}), 200, b"x"),
        (lambda: ("x", 202, {"X-Mark": "1"}), 202, b"x"),
        (lambda: {"a": 1}, 200, b'{"a":1}\n'),
        (lambda: [1], 200, b"[1]\n"),
        (lambda: (jsonify(1), 203), 203, b"1\n"),
        (lambda: iter(["x", "y"]), 200, b"xy"),
        (lambda: (iter(["x", "y"]), 201), 201, b"xy"),
    ],
    ids=[
        "str",
        "bytes",
        "201",
        "headers",
        "both",
        "dict",
        "list",
        "response",
        "stream",
        "stream 201",
    ],
)
def test_a_view_that_returns_a_response_is_stored(
    portal_kit: AsyncKit, value: Callable[[], Any], status: int, body: bytes
) -> None:
    """Everything that Flask takes for one passes unchanged."""
    _serve(portal_kit, value)
    response = portal_kit.client.get("/")
    assert (response.status_code, response.data.replace(b" ", b"")) == (status, body)
    assert portal_kit.names() == ["of the view"]


def test_a_decorator_around_may_make_the_response(portal_kit: AsyncKit) -> None:
    """What the transactional layer returns is then no response yet, and need not be one."""

    @transactional
    async def inner() -> set[str]:
        (await current_session()).add(portal_kit.Item(name="a"))
        return {"x"}

    @functools.wraps(inner)
    async def outer() -> str:
        return (await inner()).pop()

    portal_kit.app.add_url_rule("/", view_func=outer)
    assert portal_kit.client.get("/").data == b"x"
    assert portal_kit.names() == ["a"]
