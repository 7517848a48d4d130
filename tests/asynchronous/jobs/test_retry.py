"""Coroutines that are tried again: ``@transactional(retry=…)``, ``await safe.run()`` and ``async for``."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession import (
    RetryPolicy,
    attempts,
    current_scope,
    on_commit,
    on_rollback,
    session_manager,
    transactional,
)
from flask_safesession.errors import (
    CommitOutcomeUnknownError,
    DetachedArgumentError,
    NoAppError,
    NoTransactionError,
    StaleContextError,
    TransactionActiveError,
)

from ...retry.faults import QUICK, conflict, locked, notes
from ..scopes.conftest import MakeKit
from ..scopes.kit import AsyncKit

SLOW = RetryPolicy(base_delay=30, max_delay=30, max_elapsed=60)


def _attempt() -> int:
    scope = current_scope()
    assert scope is not None
    return scope.attempt


async def _conflict(kit: AsyncKit, session: AsyncSession) -> None:
    await session.run_sync(conflict, kit.database.dialect)


# --- what is tried again


async def test_a_function_is_tried_again(every_kit: AsyncKit) -> None:
    """What a failed try has sent is rolled back; the last one is stored, once."""
    seen: list[tuple[Any, int]] = []

    @transactional(retry=QUICK)
    async def store(*, prefix: str) -> int:
        async with session_manager() as session:
            seen.append((session, len(session.identity_map) + len(session.new)))
            session.add(every_kit.Item(name=f"{prefix} {_attempt()}"))
            await session.flush()
            if _attempt() < 3:
                await _conflict(every_kit, session)
        return _attempt()

    assert inspect.iscoroutinefunction(store)
    assert await store(prefix="try") == 3
    assert every_kit.names() == ["try 3"]
    assert [count for _, count in seen] == [0, 0, 0]
    assert len({id(session) for session, _ in seen}) == 3


async def test_run(kit: AsyncKit) -> None:
    """``SafeSession.run()`` gives an awaitable; without a policy there is one try."""

    async def store(name: str) -> str:
        async with session_manager() as session:
            session.add(kit.Item(name=name))
            await session.flush()
            if _attempt() < 2:
                await _conflict(kit, session)
        return name

    with pytest.raises(Exception, match=r"conflict|locked|1213"):
        await kit.safe.run(store, "once")
    assert await kit.safe.run(store, "twice", retry=QUICK) == "twice"
    assert kit.names() == ["twice"]


async def test_a_block_is_tried_until_it_commits(kit: AsyncKit) -> None:
    """Each try gets its session; the loop ends with the first that commits."""
    seen = []
    async for attempt in attempts(QUICK, name="block"):
        async with attempt as session:
            scope = current_scope()
            assert scope is not None
            seen.append((scope.attempt, scope.name, scope.session is session.sync_session))
            session.add(kit.Item(name=f"try {scope.attempt}"))
            await session.flush()
            if scope.attempt < 3:
                await _conflict(kit, session)
    assert seen == [(1, "block", True), (2, "block", True), (3, "block", True)]
    assert kit.names() == ["try 3"]


async def test_a_failing_commit_is_tried_again(make_kit: MakeKit) -> None:
    """SQLite's COMMIT waits for readers; the one of the first try has gone when the second one comes."""
    kit, tries = make_kit("aiosqlite", engine_options={"connect_args": {"timeout": 0}}), []
    assert kit.database.observer is not None
    reader = kit.database.observer.raw_connection()
    reader.cursor().execute("BEGIN").execute("SELECT * FROM item").fetchall()
    with kit.app.app_context():
        async for attempt in attempts(QUICK):
            async with attempt as session:
                tries.append(session)
                session.add(kit.Item(name="a"))
                on_rollback(reader.close)
    assert (len(tries), kit.names()) == (2, ["a"])


async def test_the_last_error_leaves_the_block(kit: AsyncKit) -> None:
    """It is the error of the last try itself, with a note of every try."""
    caught = []
    with pytest.raises(Exception, match=r"conflict|locked|1213") as left:
        async for attempt in attempts(QUICK):
            try:
                async with attempt as session:
                    await _conflict(kit, session)
            except Exception as error:
                caught.append(error)
                raise
    assert caught == [left.value]
    assert [note.partition(" failed")[0] for note in notes(left.value)] == [
        "Try 1 of 3",
        "Try 2 of 3",
        "Try 3 of 3",
    ]


async def test_the_commit_is_inside_the_loop(make_kit: MakeKit) -> None:
    """A fault of COMMIT itself, here of a deferred check, is tried again like one of a statement."""
    kit, tries = make_kit("asyncpg"), []

    @transactional(retry=QUICK)
    async def store() -> None:
        tries.append(_attempt())
        async with session_manager() as session:
            session.add(kit.Item(name=f"try {_attempt()}", amount=_attempt()))

    async def define(statement: str) -> None:
        async with kit.engine.begin() as connection:
            raw: Any = await connection.get_raw_connection()
            await raw.driver_connection.execute(statement)

    await define(_DEFERRED)
    try:
        with kit.app.app_context():
            await store()
        assert (tries, kit.names()) == ([1, 2, 3], ["try 3"])
    finally:
        await define("DROP FUNCTION not_yet CASCADE")


_DEFERRED = """
CREATE FUNCTION not_yet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.amount < 3 THEN RAISE EXCEPTION 'not yet' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER not_yet AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION not_yet();
"""


async def test_transfers_at_once(make_kit: MakeKit) -> None:
    """A dozen transfers at SERIALIZABLE meet on one row of PostgreSQL: each is done, and none twice."""
    kit = make_kit("asyncpg", engine_options={"pool_timeout": 30})
    policy = RetryPolicy(attempts=100, base_delay=0.01, max_delay=0.2, max_elapsed=40)

    @transactional(retry=policy, isolation_level="SERIALIZABLE")
    async def transfer() -> None:
        async with session_manager() as session:
            account = (await session.scalars(select(kit.Item))).one()
            account.amount += 1

    with kit.app.app_context():
        async with session_manager() as session:
            session.add(kit.Item(name="account", amount=0))
        await asyncio.gather(*(transfer() for _ in range(12)))
        async with session_manager() as session:
            assert await session.scalar(select(kit.Item.amount)) == 12


# --- the wait


async def test_the_wait_lets_the_loop_go_on(kit: AsyncKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is held, no thread waits, and others use the pool."""
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("The event loop stood still."))
    held: list[int] = []
    waiting, pause = asyncio.Event(), asyncio.sleep

    async def sleep(seconds: float, *_: Any) -> None:
        if seconds:
            held.append(kit.checkedout())
            waiting.set()
        await pause(0)

    monkeypatch.setattr("asyncio.sleep", sleep)

    async def work() -> None:
        async with session_manager() as session:
            await session.execute(insert(kit.Item).values(name="lost"))
        raise locked()

    async def other() -> None:
        await waiting.wait()
        async with session_manager() as session:
            session.add(kit.Item(name="other"))

    results = await asyncio.gather(
        kit.safe.run(work, retry=2), kit.safe.run(other), return_exceptions=True
    )
    assert [str(each) for each in results] == ["database is locked", "None"]
    assert (held, kit.names()) == ([0], ["other"])


async def test_a_cancellation_ends_the_wait(sqlite_kit: AsyncKit) -> None:
    """At once, and nothing is tried again."""
    tries, failed = [], asyncio.Event()

    async def work() -> None:
        tries.append(_attempt())
        failed.set()
        raise locked()

    async def block() -> None:
        async for attempt in attempts(SLOW):
            async with attempt:
                await work()

    for unit in (sqlite_kit.safe.run(work, retry=SLOW), block()):
        failed.clear()
        task = asyncio.create_task(unit)
        await failed.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        assert task.cancelled()
    assert (tries, sqlite_kit.checkedout()) == ([1, 1], 0)


async def test_a_cancelled_try_is_the_last(kit: AsyncKit) -> None:
    """It is rolled back, and the cancellation goes on."""
    tries, begun = [], asyncio.Event()

    async def work() -> None:
        tries.append(_attempt())
        async with session_manager() as session:
            session.add(kit.Item(name="lost"))
            await session.flush()
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(kit.safe.run(work, retry=QUICK))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tries, kit.names(), kit.checkedout()) == ([1], [], 0)


# --- what a try begins with


async def test_the_session_of_a_failed_try_is_not_used_in_silence(kit: AsyncKit) -> None:
    """Who kept it is told."""
    kept: list[AsyncSession] = []

    async def work() -> None:
        async with session_manager() as session:
            kept.append(session)
        if _attempt() == 1:
            raise locked()
        await kept[0].execute(select(kit.Item))

    with pytest.raises(StaleContextError):
        await kit.safe.run(work, retry=QUICK)


async def test_what_the_task_had_loaded_is_there_in_each_try(make_kit: MakeKit) -> None:
    """It can be changed and referred to in every try."""
    kit = make_kit()
    kit.factory.configure(expire_on_commit=False)
    with kit.app.app_context():
        async with session_manager() as session:
            session.add(user := kit.Item(name="user", amount=0))

        async def work() -> None:
            async with session_manager() as session:
                await session.refresh(user)
                user.amount += 1
                if _attempt() < 3:
                    await session.flush()
                    raise locked()

        await kit.safe.run(work, retry=QUICK)
        async with session_manager() as session:
            assert await session.scalar(select(kit.Item.amount)) == user.amount


async def test_arguments_are_copied(sqlite_kit: AsyncKit) -> None:
    """Lists, dicts and sets, for each try; instances are refused before the first."""
    seen = []

    @transactional(retry=QUICK)
    async def work(names: list[str]) -> None:
        names.append(str(_attempt()))
        seen.append(names)
        if _attempt() < 2:
            raise locked()

    given: list[str] = []
    await work(given)
    assert (given, seen) == ([], [["1"], ["2"]])
    with pytest.raises(DetachedArgumentError):
        await work([sqlite_kit.Item(name="a")])
    async with session_manager(propagation="supports") as session:
        with pytest.raises(DetachedArgumentError):
            await work(session)  # type: ignore[arg-type]


async def test_pending_changes_are_refused(sqlite_kit: AsyncKit) -> None:
    """A second try would come without them."""
    async with session_manager() as session:
        pass
    session.add(sqlite_kit.Item(name="before"))

    async def work() -> None:
        pytest.fail("It ran.")

    with pytest.raises(TransactionActiveError, match="is to be tried again when it fails, and beg"):
        await sqlite_kit.safe.run(work, retry=QUICK)
    with pytest.raises(TransactionActiveError, match="is to be tried again when it fails, and beg"):
        async for attempt in attempts(QUICK):
            async with attempt:
                pytest.fail("It ran.")
    session.expunge_all()


async def test_inside_a_scope_there_is_one_try(sqlite_kit: AsyncKit) -> None:
    """It joins the scope, whose owner may try again."""
    tries = []

    async def work() -> None:
        tries.append(current_scope())
        raise locked()

    for _ in range(2):
        with pytest.raises(Exception, match="locked"):
            async with session_manager(name="outer") as outer:
                if tries:
                    await sqlite_kit.safe.run(work, retry=QUICK)
                async for attempt in attempts(QUICK):
                    async with attempt as session:
                        assert session is outer
                        await work()
    assert [each is not None and each.depth for each in tries] == [2, 2]


async def test_a_child_task_has_tries_of_its_own(kit: AsyncKit) -> None:
    """The scope of its parent is none around it."""

    async def work(name: str) -> None:
        async with session_manager() as session:
            session.add(kit.Item(name=f"{name} {_attempt()}"))
            await session.flush()
            if _attempt() < 2:
                raise locked()

    names = ("a", "b") if kit.database.dialect != "sqlite" else ("a",)
    async with session_manager() as session:
        await session.execute(text("SELECT 1"))
        await asyncio.gather(
            *(asyncio.create_task(kit.safe.run(work, name, retry=QUICK)) for name in names)
        )
    assert kit.names() == [f"{name} 2" for name in names]


# --- what is not tried again


async def test_hooks_of_failed_tries_are_dropped(sqlite_kit: AsyncKit) -> None:
    """``on_commit`` runs for the try that committed, ``on_rollback`` for each that did not."""
    ran: list[tuple[str, int]] = []

    async def note(what: str, attempt: int) -> None:
        ran.append((what, attempt))

    async def work() -> None:
        on_commit(note, "commit", _attempt())
        on_rollback(note, "rollback", _attempt())
        if _attempt() < 3:
            raise locked()

    await sqlite_kit.safe.run(work, retry=QUICK)
    assert ran == [("rollback", 1), ("rollback", 2), ("commit", 3)]


async def test_an_error_after_the_commit_is_not_tried_again(sqlite_kit: AsyncKit) -> None:
    """A hook that fails with a fault comes too late, and so does an error that commits."""
    tries = []

    async def hook() -> None:
        raise locked()

    @transactional(retry=QUICK)
    async def with_hook() -> None:
        tries.append(_attempt())
        on_commit(hook)

    @transactional(retry=QUICK, commit_on=type(locked()))
    async def committing() -> None:
        tries.append(_attempt())
        raise locked()

    for work in (with_hook, committing):
        with pytest.raises(Exception, match="locked"):
            await work()
    with pytest.raises(Exception, match="locked"):
        async for attempt in attempts(QUICK):
            async with attempt:
                tries.append(_attempt())
                on_commit(hook)
    assert tries == [1, 1, 1]


async def test_what_no_try_mends(kit: AsyncKit) -> None:
    """A constraint, an unknown commit, an error of the program."""
    tries = []

    async def duplicate() -> None:
        tries.append(1)
        async with session_manager() as session:
            session.add_all([kit.Item(name="a"), kit.Item(name="a")])

    async def unknown() -> None:
        tries.append(2)
        raise CommitOutcomeUnknownError("The reply was lost.") from locked()

    async def wrong() -> None:
        tries.append(3)
        raise ValueError

    cases: dict[type[Exception], Any] = {
        IntegrityError: duplicate,
        CommitOutcomeUnknownError: unknown,
        ValueError: wrong,
    }
    for kind, work in cases.items():
        with pytest.raises(kind) as caught:
            await kit.safe.run(work, retry=QUICK)
        assert notes(caught.value) == []
    assert tries == [1, 2, 3]


async def test_nothing_of_a_failed_unit_is_kept_alive(sqlite_kit: AsyncKit) -> None:
    """The frames of an error that was handled are gone without the collector, and with them what they held."""
    held: list[weakref.ref[object]] = []

    class Local:
        pass

    async def work() -> None:
        local = Local()
        held.append(weakref.ref(local))
        raise locked()

    gc.disable()
    try:
        with pytest.raises(Exception, match="locked"):
            await sqlite_kit.safe.run(work, retry=QUICK)
        await asyncio.sleep(0)
        assert [each() for each in held] == [None, None, None]
    finally:
        gc.enable()


# --- bad input


async def test_an_attempt_that_is_not_entered_is_an_error(sqlite_kit: AsyncKit) -> None:
    """Otherwise the loop would never end."""
    with pytest.raises(NoTransactionError, match="Write 'async with attempt as session:'"):
        async for _ in attempts(QUICK):
            pass


async def test_a_commit_that_nobody_tries_again(sqlite_kit: AsyncKit) -> None:
    """A constraint that is checked at COMMIT fails the first try, and the loop with it."""
    tries = 0
    with pytest.raises(IntegrityError):
        async for attempt in attempts(QUICK):
            async with attempt as session:
                tries += 1
                session.add(sqlite_kit.models.LateChild(name="lost", parent_id=999))
    assert (tries, sqlite_kit.checkedout()) == (1, 0)


async def test_an_attempt_is_entered_once(sqlite_kit: AsyncKit) -> None:
    """The next try is the next round of the loop."""
    async for attempt in attempts(QUICK):
        async with attempt as session:
            assert isinstance(session, AsyncSession)
        with pytest.raises(TransactionActiveError, match="by 'async with attempt as session:'"):
            async with attempt:
                pass


def test_it_needs_an_app_context(make_kit: MakeKit) -> None:
    """As every scope does."""
    kit = make_kit()

    async def work() -> None: ...

    async def block() -> None:
        async for attempt in attempts():
            async with attempt:
                pass

    for unit in (block, lambda: kit.safe.run(work, retry=3)):
        with pytest.raises(NoAppError):
            asyncio.run(unit())
