"""``await run_in_phases()``: two short scopes of a coroutine, and no connection between them."""

from __future__ import annotations

import asyncio
import gc
import warnings
import weakref
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from flask_safesession import (
    PhaseResult,
    current_scope,
    on_commit,
    on_rollback,
    run_in_phases,
    session_manager,
    transactional,
)
from flask_safesession.errors import (
    DetachedArgumentError,
    NoAppError,
    TransactionActiveError,
    UncommittedChangesWarning,
    UnexpectedRollbackError,
)

from ...kit import MakeKit as MakeBlockingKit
from ..scopes.conftest import MakeKit
from ..scopes.kit import AsyncKit

SELECT = text("SELECT 1")


async def _upper(prepared: str) -> str:
    await asyncio.sleep(0)
    return prepared.upper()


@dataclass
class Job:
    """The three functions of a job, and what it saw."""

    kit: AsyncKit
    work: Callable[[str], Awaitable[Any]] = _upper
    results: list[PhaseResult[Any]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)

    async def prepare(self, session: AsyncSession) -> str:
        """Mark the job as running."""
        assert isinstance(session, AsyncSession)
        session.add(self.kit.Item(name="running"))
        await session.flush()
        return "value"

    async def execute(self, prepared: str) -> Any:
        """Note how many connections are out, and work."""
        self.held.append(self.kit.checkedout())
        assert current_scope() is None
        return await self.work(prepared)

    async def record(self, session: AsyncSession, result: PhaseResult[Any]) -> None:
        """Store the status."""
        self.results.append(result)
        session.add(self.kit.Item(name=result.status))
        await session.flush()

    async def run(self) -> Any:
        """Run the phases in the context that is open."""
        return await run_in_phases(self.prepare, self.execute, self.record)


def _raising(error: BaseException) -> Callable[[str], Awaitable[Any]]:
    async def work(_: str) -> Any:
        raise error

    return work


def _notes(error: BaseException) -> list[str]:
    return list(vars(error).get("__notes__", []))


# --- what is run


async def test_the_three_phases(every_kit: AsyncKit) -> None:
    """The first phase is stored and its connection back before the second, whose value the third records."""

    async def work(prepared: str) -> tuple[str, list[str]]:
        await asyncio.sleep(0)
        return prepared.upper(), every_kit.names()

    job = Job(every_kit, work)
    assert await job.run() == ("VALUE", ["running"])
    assert (every_kit.names(), job.held) == (["running", "succeeded"], [0])
    (result,) = job.results
    assert (result.status, result.value) == ("succeeded", ("VALUE", ["running"]))
    assert result.error is None
    assert result.elapsed >= 0


async def test_every_way_of_having_sessions(any_kit: AsyncKit) -> None:
    """It works on each kind of session."""

    async def work(prepared: str) -> str:
        return prepared.upper()

    job = Job(any_kit, work)
    assert await job.run() == "VALUE"
    assert (any_kit.names(), job.held) == (["running", "succeeded"], [0])


def _prepare(session: Session) -> str:
    with session_manager() as joined:
        assert joined is session
    session.execute(SELECT)
    return "value"


def _record(session: Session, result: PhaseResult[Any]) -> None:
    scope = current_scope()
    assert scope is not None
    assert (scope.session, scope.name) == (session, "_record")
    session.execute(SELECT)


async def test_plain_functions_around_one_that_waits(kit: AsyncKit) -> None:
    """They get a synchronous session, as by ``run_sync()``."""
    job = Job(kit)
    assert await run_in_phases(_prepare, job.execute, _record) == "VALUE"
    assert await run_in_phases(_prepare, job.execute, job.record) == "VALUE"
    assert await kit.safe.run_in_phases(job.prepare, job.execute, _record) == "VALUE"
    assert (kit.names(), job.held) == (["running", "succeeded"], [0, 0, 0])


async def test_an_error_is_recorded_and_raised(kit: AsyncKit) -> None:
    """The error of the second phase comes out as the same object, after it was recorded."""
    error = KeyError("solver")
    job = Job(kit, _raising(error))
    with pytest.raises(KeyError) as caught:
        await job.run()
    assert caught.value is error
    assert kit.names() == ["failed", "running"]
    assert [(each.status, each.value, each.error) for each in job.results] == [
        ("failed", None, error)
    ]


async def test_a_cancellation_is_recorded_and_raised(kit: AsyncKit) -> None:
    """A job that is cancelled is not running for ever; nobody swallows the cancellation."""
    started = asyncio.Event()

    async def work(_: str) -> None:
        started.set()
        await asyncio.Event().wait()

    job = Job(kit, work)
    task = asyncio.create_task(job.run())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert kit.names() == ["failed", "running"]
    assert isinstance(job.results[0].error, asyncio.CancelledError)


async def test_a_timeout_is_recorded(kit: AsyncKit) -> None:
    """One around the job cancels it; whoever waits gets the timeout."""

    async def work(_: str) -> None:
        await asyncio.Event().wait()

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(Job(kit, work).run(), 0.3)
    assert kit.names() == ["failed", "running"]


async def test_a_second_cancellation_ends_the_record(sqlite_kit: AsyncKit) -> None:
    """It comes out, and says what was not recorded."""
    executing, recording = asyncio.Event(), asyncio.Event()

    async def work(_: str) -> None:
        executing.set()
        await asyncio.Event().wait()

    async def record(session: AsyncSession, result: PhaseResult[None]) -> None:
        recording.set()
        await asyncio.Event().wait()

    job = Job(sqlite_kit, work)
    task = asyncio.create_task(run_in_phases(job.prepare, job.execute, record))
    for event in (executing, recording):
        await event.wait()
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (sqlite_kit.names(), sqlite_kit.checkedout()) == (["running"], 0)


async def test_a_cancelled_first_phase(kit: AsyncKit) -> None:
    """It is rolled back, and nothing else runs."""
    job, started = Job(kit), asyncio.Event()

    async def prepare(session: AsyncSession) -> str:
        await job.prepare(session)
        started.set()
        await asyncio.Event().wait()
        return ""

    task = asyncio.create_task(run_in_phases(prepare, job.execute, job.record))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (kit.names(), job.held, job.results) == ([], [], [])


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_recorded_too(make_kit: MakeKit, kind: type[BaseException]) -> None:
    """Ctrl-C does not leave a job that is running for ever."""
    kit = make_kit()

    async def main() -> None:
        try:
            await Job(kit, _raising(kind())).run()
        finally:
            await kit.engine.dispose()

    with kit.app.app_context(), pytest.raises(kind):
        asyncio.run(main())
    assert kit.names() == ["failed", "running"]


async def test_nothing_runs_after_a_failed_first_phase(kit: AsyncKit) -> None:
    """When ``prepare`` fails it is rolled back, and its error comes out."""
    job = Job(kit)

    async def prepare(session: AsyncSession) -> str:
        await job.prepare(session)
        raise LookupError

    with pytest.raises(LookupError):
        await run_in_phases(prepare, job.execute, job.record)
    assert (kit.names(), job.held, job.results) == ([], [], [])


async def test_a_first_phase_that_asks_for_a_rollback(sqlite_kit: AsyncKit) -> None:
    """Where nothing was marked as running, nothing is executed."""
    job = Job(sqlite_kit)

    async def prepare(session: AsyncSession) -> str:
        scope = current_scope()
        assert scope is not None
        scope.set_rollback_only()
        return await job.prepare(session)

    with pytest.raises(UnexpectedRollbackError, match="so nothing was executed"):
        await run_in_phases(prepare, job.execute, job.record)
    assert (sqlite_kit.names(), job.held, job.results) == ([], [], [])


async def test_a_third_phase_that_fails(kit: AsyncKit) -> None:
    """Its error comes out, and says what was not recorded."""

    async def record(session: AsyncSession, result: PhaseResult[str]) -> None:
        session.add(kit.Item(name="done"))
        await session.flush()
        raise LookupError

    with pytest.raises(LookupError) as caught:
        await run_in_phases(Job(kit).prepare, Job(kit).execute, record)
    assert kit.names() == ["running"]
    assert _notes(caught.value) == ["The job had succeeded, and that was not recorded."]


async def test_a_second_and_a_third_phase_that_fail(kit: AsyncKit) -> None:
    """The error of ``execute`` comes out, with a note of the other one."""
    error = KeyError("solver")

    async def record(session: AsyncSession, result: PhaseResult[str]) -> None:
        raise LookupError("no such row")

    with pytest.raises(KeyError) as caught:
        await run_in_phases(Job(kit).prepare, Job(kit, _raising(error)).execute, record)
    assert caught.value is error
    (note,) = _notes(error)
    assert note.endswith("record' failed, and that was not recorded: LookupError: no such row")


async def test_a_hook_of_the_first_phase_that_fails(kit: AsyncKit) -> None:
    """The job is stored as running by then: that it has failed is recorded, and the hook's error comes out."""
    job, error = Job(kit), KeyError("hook")

    async def prepare(session: AsyncSession) -> str:
        on_commit(_raising(error), "hook")
        return await job.prepare(session)

    with pytest.raises(KeyError) as caught:
        await run_in_phases(prepare, job.execute, job.record)
    assert caught.value is error
    assert (kit.names(), job.held) == (["failed", "running"], [])
    assert [(each.status, each.error, each.elapsed) for each in job.results] == [
        ("failed", error, 0)
    ]


async def test_the_second_phase_may_open_scopes(kit: AsyncKit) -> None:
    """For its progress, on its own or in tasks of its own."""

    async def store(name: str) -> None:
        async with session_manager() as session:
            session.add(kit.Item(name=name))

    async def work(_: str) -> list[str]:
        await store("progress")
        await asyncio.gather(store("a"), store("b"))
        return kit.names()

    assert await Job(kit, work).run() == ["a", "b", "progress", "running"]


async def test_the_scopes_have_the_names_of_the_phases(sqlite_kit: AsyncKit) -> None:
    """A message names the function and its line."""
    names: list[str] = []

    async def prepare(session: AsyncSession) -> None:
        names.append(str(current_scope()))

    async def execute(_: None) -> None:
        names.append(str(current_scope()))

    async def record(session: AsyncSession, result: PhaseResult[None]) -> None:
        names.append(str(current_scope()))

    await run_in_phases(prepare, execute, record)
    line = prepare.__code__.co_firstlineno
    assert names[0] == f"'prepare' (tests/asynchronous/jobs/test_phases.py:{line})"
    assert names[1] == "None"
    assert names[2].startswith("'record' (")


async def test_an_error_is_not_kept(sqlite_kit: AsyncKit) -> None:
    """No cycle keeps the error of a job, and the frames of its traceback, until the collector comes."""

    class SolverError(Exception):
        """An error that can be weakly referenced."""

    async def work(_: str) -> None:
        raise SolverError

    async def run() -> weakref.ref[BaseException]:
        try:
            await run_in_phases(lambda session: "", work, lambda session, result: None)
        except SolverError as error:
            return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        found = await run()
        assert found() is None
    finally:
        gc.enable()


# --- what is around


async def test_inside_a_scope(sqlite_kit: AsyncKit) -> None:
    """It is refused, with both places, before anything runs."""
    job = Job(sqlite_kit)
    async with session_manager(name="outer"):
        with pytest.raises(TransactionActiveError) as caught:
            await job.run()
    text = str(caught.value)
    where = f"tests/asynchronous/jobs/test_phases.py:{Job.run.__code__.co_firstlineno + 2}"
    assert text.startswith(f"'run' ({where}) called 'run_in_phases' inside the transaction that 'o")
    assert "whose connection would be held while 'Job.execute' runs" in text
    assert job.held == []


async def test_inside_a_transactional_function(sqlite_kit: AsyncKit) -> None:
    """The decorator opens a scope like any other."""
    with pytest.raises(TransactionActiveError, match="'run' owns"):
        await transactional(Job(sqlite_kit).run)()


async def test_inside_a_suspended_scope(sqlite_kit: AsyncKit) -> None:
    """A scope that waits holds its connection too."""
    async with session_manager(name="outer"), session_manager(propagation="not_supported"):
        with pytest.raises(TransactionActiveError, match="'outer' owns"):
            await Job(sqlite_kit).run()


async def test_blocking_phases_inside_an_asynchronous_scope(sqlite_kit: AsyncKit) -> None:
    """They would join it, and hold its connection."""
    async with session_manager(name="outer") as session:
        with pytest.raises(TransactionActiveError, match="called 'run_in_phases' inside the tra"):
            await session.run_sync(lambda _: run_in_phases(_prepare, str.upper, _record))


async def test_a_child_is_not_inside(kit: AsyncKit) -> None:
    """A task that a scope has started has none around it."""
    job = Job(kit)
    async with session_manager() as session:
        await session.execute(SELECT)
        await asyncio.create_task(job.run())
    assert (kit.names(), job.held) == (["running", "succeeded"], [1])


def test_without_an_app_context(make_kit: MakeKit) -> None:
    """There is no session to prepare anything with."""
    job = Job(make_kit())
    with pytest.raises(NoAppError):
        asyncio.run(run_in_phases(job.prepare, job.execute, job.record))


async def test_the_context_is_that_of_who_awaits(make_kit: MakeKit) -> None:
    """The call makes a coroutine, which may be awaited elsewhere."""
    job = Job(kit := make_kit())
    waiting = run_in_phases(job.prepare, job.execute, job.record)
    with kit.app.app_context():
        assert await waiting == "VALUE"


@pytest.mark.parametrize("pending", [False, True])
async def test_pending_changes_go_with_the_first_phase(kit: AsyncKit, pending: bool) -> None:
    """As every scope, that of ``prepare`` adopts what the task has changed before."""
    async with session_manager() as session:
        pass
    if pending:
        session.add(kit.Item(name="before"))
    await Job(kit).run()
    assert kit.names() == ["before"] * pending + ["running", "succeeded"]


@pytest.fixture
def both(make_kit: MakeKit, make_blocking_kit: MakeBlockingKit) -> Any:
    """An app with a synchronous and an asynchronous session."""
    kit = make_kit()
    blocking = make_blocking_kit()
    blocking.safe.include(kit.factory)
    return blocking


# --- what is left


async def test_changes_that_the_second_phase_leaves(sqlite_kit: AsyncKit) -> None:
    """They are reported and rolled back; the third phase does not store them."""
    kit = sqlite_kit

    async def work(_: str) -> None:
        async with session_manager() as session:
            pass
        session.add(kit.Item(name="left"))

    with pytest.warns(UncommittedChangesWarning, match="1 new object"):
        await Job(kit, work).run()
    assert kit.names() == ["running", "succeeded"]


async def test_a_scope_that_the_second_phase_leaves_open(kit: AsyncKit) -> None:
    """It is an error that is recorded, and the scope is rolled back."""
    calls: list[str] = []
    managers: list[Any] = []

    async def work(_: str) -> None:
        managers.extend(session_manager(name=name) for name in ("outer", "inner"))
        session = [await each.__aenter__() for each in managers][-1]
        session.add(kit.Item(name="left"))
        await session.flush()
        on_rollback(calls.append, "rolled back")

    with pytest.raises(TransactionActiveError, match=r"^'Job\.execute' left the scope of 'inner'"):
        await Job(kit, work).run()
    assert (kit.names(), calls) == (["failed", "running"], ["rolled back"])


async def test_a_suspension_that_the_second_phase_leaves_open(kit: AsyncKit) -> None:
    """The same for a block that suspends a scope."""
    managers: list[Any] = []

    async def work(_: str) -> None:
        managers.extend([session_manager(), session_manager(propagation="not_supported")])
        for each in managers:
            session = await each.__aenter__()
            await session.execute(SELECT)

    with pytest.raises(TransactionActiveError, match="left the session of a suspended scope open"):
        await Job(kit, work).run()
    assert (kit.names(), kit.checkedout()) == (["failed", "running"], 0)


async def test_a_block_without_a_scope_that_is_left_open(kit: AsyncKit) -> None:
    """What an error cut off is rolled back without a word."""

    async def work(_: str) -> None:
        session = await session_manager(propagation="supports").__aenter__()
        session.add(kit.Item(name="left"))
        await session.flush()
        raise KeyError

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(KeyError):
            await Job(kit, work).run()
    assert (kit.names(), kit.checkedout()) == (["failed", "running"], 0)


# --- what is refused


async def test_an_instance_out_of_the_first_phase(kit: AsyncKit) -> None:
    """Nobody could wait for what it has not loaded: it is refused, and nothing is stored."""
    job = Job(kit)

    async def prepare(session: AsyncSession) -> Any:
        item = kit.Item(name="running")
        session.add(item)
        await session.flush()
        return {"key": (item,)}

    with pytest.raises(
        DetachedArgumentError, match=r"prepare' returned an instance of 'Item', whose"
    ):
        await run_in_phases(prepare, job.execute, job.record)
    assert (kit.names(), job.held, job.results) == ([], [], [])


async def test_a_session_or_a_row_that_prepare_returns(sqlite_kit: AsyncKit) -> None:
    """Both belong to the transaction that has ended."""
    async with session_manager() as session:
        session.add(sqlite_kit.Item(name="a"))

    async def itself(session: AsyncSession) -> Any:
        return session

    async def rows(session: AsyncSession) -> Any:
        return (await session.execute(select(sqlite_kit.Item))).all()

    async def connection(session: AsyncSession) -> Any:
        return await session.connection()

    for prepare in (itself, rows, connection):
        with pytest.raises(DetachedArgumentError):
            await run_in_phases(prepare, _upper, lambda session, result: None)


async def _awaited(*_: Any) -> None:
    """A coroutine function."""


def _generator(*_: Any) -> Iterator[None]:
    yield


async def _none() -> None: ...


@pytest.mark.parametrize("role", ["prepare", "record"])
def test_a_blocking_job_in_the_middle(
    sqlite_kit: AsyncKit, role: Literal["prepare", "record"]
) -> None:
    """The event loop would stand still; the error says what to write."""
    phases: dict[str, Any] = {"prepare": _prepare, "execute": str.upper, "record": _record}
    with pytest.raises(TypeError, match=rf"'{role}' is the coroutine function '_awaited', and "):
        run_in_phases(**{**phases, role: _awaited})


@pytest.mark.parametrize("role", ["prepare", "execute", "record"])
@pytest.mark.parametrize("phase", [_generator, "no function", _none])
def test_a_phase_that_cannot_be_called(
    sqlite_kit: AsyncKit, role: Literal["prepare", "execute", "record"], phase: Any
) -> None:
    """It is refused by the call, not by the one that awaits it."""
    job = Job(sqlite_kit)
    phases: dict[str, Any] = {"prepare": job.prepare, "execute": job.execute, "record": job.record}
    with pytest.raises(TypeError, match=f"'{role}' is "):
        run_in_phases(**{**phases, role: phase})
