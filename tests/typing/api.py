"""The types of the public API: checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Thread
from typing import Literal

from flask import Flask
from flask.ctx import AppContext
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from typing_extensions import assert_type

from flask_safesession import (
    AppContextExecutor,
    AppContextManager,
    EngineStatistics,
    Fault,
    Holder,
    PhaseResult,
    Propagation,
    RetryPolicy,
    SafeSession,
    Scope,
    ShutdownReport,
    Statistics,
    add_all_or_abort,
    attempts,
    classify,
    current_scope,
    errors,
    handoff,
    non_transactional,
    on_commit,
    on_rollback,
    on_unknown,
    requires_transaction,
    run_in_phases,
    safe_commit,
    session_manager,
    stream_with_session,
    transactional,
)

app = Flask("typing")
db = SQLAlchemy()

# --- The extension ---

safe = SafeSession(app, db, ownership="raise", transactional_views=True)
SafeSession(app)
SafeSession(app, sessionmaker())
SafeSession().init_app(app, scoped_session(sessionmaker()))
safe.include(sessionmaker())
safe.include(scoped_session(sessionmaker()))

assert_type(safe.statistics(), Statistics)
assert_type(safe.statistics().engines, tuple[EngineStatistics, ...])
assert_type(safe.statistics().holders, tuple[Holder, ...])

# --- Scopes ---

with session_manager() as session:
    assert_type(session, Session)
with session_manager(
    propagation="requires_new",
    read_only=True,
    isolation_level="SERIALIZABLE",
    timeout=2.5,
    name="report",
) as session:
    assert_type(session, Session)
with safe.session_manager(propagation=Propagation.NESTED) as session:
    assert_type(session, Session)


def a_block_may_swallow_nothing() -> int:
    """A scope never swallows an exception, so no path ends without a value."""
    with session_manager():
        return 1


# --- Decorators keep signatures ---


@transactional
def bare(first: int, *, second: str = "") -> list[str]:
    """A function under the bare decorator."""
    return [second] * first


@transactional(propagation=Propagation.NESTED, commit_on=(ValueError,), rollback_on_status=500)
def configured(first: int, *, second: str = "") -> list[str]:
    """A function under the decorator with arguments."""
    return [second] * first


@safe.transactional(name="bound", timeout=1, commit_on=KeyError)
def bound(first: int) -> bytes:
    """A function under the decorator that belongs to one app."""
    return bytes(first)


@safe.transactional
def bound_bare(first: int) -> bytes:
    """A function under the bare decorator that belongs to one app."""
    return bytes(first)


@requires_transaction
def service(first: int, /) -> str:
    """A service."""
    return str(first)


@app.get("/")
@non_transactional
def view() -> str:
    """A view."""
    return ""


assert_type(bare(1, second="a"), list[str])
assert_type(configured(1, second="a"), list[str])
assert_type(bound(1), bytes)
assert_type(bound_bare(1), bytes)
assert_type(service(1), str)
assert_type(view(), str)
bare("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
configured(1, third=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
transactional(unknown=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
session_manager(timeout="a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- Retry ---

policy = RetryPolicy(
    attempts=5, base_delay=0.1, max_delay=1, max_elapsed=10, categories=["deadlock"]
)


@transactional(retry=policy, isolation_level="SERIALIZABLE")
def retried(first: int, *, second: str = "") -> list[str]:
    """A function that is tried again."""
    for attempt in attempts(policy, timeout=1.5, name="block"):
        with attempt as tried_session:
            assert_type(tried_session, Session)
    return [second] * first


assert_type(retried(1, second="a"), list[str])
assert_type(transactional(retry=True)(bound_bare)(1), bytes)
assert_type(safe.run(bound_bare, 1, retry=3, isolation_level="SERIALIZABLE"), bytes)
assert_type(safe.run(bare, 1), list[str])
safe.run(bound_bare, "a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
transactional(retry="often")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
for attempt in safe.attempts(3):
    with attempt as session:
        assert_type(session, Session)


class Board:
    """A class whose method is transactional."""

    @transactional
    def publish(self, week: int) -> str:
        """Publish a week."""
        return str(week)


assert_type(Board().publish(1), str)

# --- Inside a scope ---

scope = current_scope()
assert_type(scope, Scope | None)
if scope is not None:
    assert_type(scope.name, str)
    assert_type(scope.depth, int)
    assert_type(scope.owner, str)
    assert_type(scope.attempt, int)
    assert_type(scope.outcome, str | None)
    scope.set_rollback_only()


def send(address: str, *, copy: bool = False) -> int:
    """A hook."""
    return len(address) + copy


@on_commit
def decorated() -> None:
    """A hook that is registered by decorating it."""


on_commit(send, "a@example.org", copy=True)
on_rollback(send, "a@example.org")
on_unknown(send, "a@example.org")
assert_type(decorated(), None)
on_commit(send, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# --- Helpers ---


class Shift:
    """Stands for a mapped class."""


assert_type(add_all_or_abort([Shift()], description="The shift is taken."), list[Shift])
assert_type(add_all_or_abort(Shift() for _ in range(2)), list[Shift])
safe_commit()

fault = classify(ValueError())
assert_type(fault, Fault)
assert_type(fault.category, str)
assert_type(fault.code, str | None)
assert_type(fault.transient, bool)
assert_type(fault.retry_safe, bool)
assert_type(fault.http_status, int)
assert_type(fault.constraint, str | None)

# --- Contexts and jobs ---

manager = AppContextManager(app, propagate_g=("user",), instances="reload", transactional=True)
with manager as context:
    assert_type(context, AppContext)
AppContextManager(instances="later")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@manager
def job(number: int, *, text: str = "") -> bytes:
    """A function that runs in a context of its own."""
    return bytes(number) + text.encode()


assert_type(job(1, text="a"), bytes)
assert_type(manager.wrap(send)("a"), int)
assert_type(manager.thread(send, ("a",), name="sender"), Thread)
with manager.executor(2, thread_name_prefix="jobs") as executor:
    assert_type(executor, AppContextExecutor)
    assert_type(executor.submit(job, 1, text="a"), Future[bytes])
    executor.submit(job, "a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(executor.shutdown(drain=True, timeout=2.5), ShutdownReport)
assert_type(AppContextExecutor(2, app=app, transactional=True), AppContextExecutor)


with manager.process_executor(app="shop:create_app()", max_workers=2) as processes:
    assert_type(processes.submit(job, 1, text="a"), Future[bytes])
    assert_type(processes.map(send, ["a"], chunksize=2), Iterator[int])


async def in_a_thread() -> None:
    """A job that a coroutine waits for."""
    assert_type(await manager.to_thread(job, 1, text="a"), bytes)


# --- Phases ---


def prepare(session: Session) -> int:
    """Load what the job needs."""
    return len(session.new)


def execute(prepared: int) -> str:
    """Work."""
    return str(prepared)


def record(session: Session, result: PhaseResult[str]) -> None:
    """Store what came out."""
    assert_type(result.status, Literal["succeeded", "failed"])
    assert_type(result.value, str | None)
    assert_type(result.error, BaseException | None)
    assert_type(result.elapsed, float)


def record_bytes(session: Session, result: PhaseResult[bytes]) -> None:
    """Store what never comes out of ``execute``."""


assert_type(run_in_phases(prepare, execute, record), str)
assert_type(safe.run_in_phases(prepare, execute, record), str)
assert_type(run_in_phases(lambda session: 1, execute, lambda session, result: None), str)
run_in_phases(lambda session: b"", execute, record)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
run_in_phases(prepare, execute, record_bytes)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]


async def prepare_awaited(session: AsyncSession) -> int:
    """Load what the job needs."""
    return len(session.new)


async def execute_awaited(prepared: int) -> str:
    """Work."""
    return str(prepared)


async def record_awaited(session: AsyncSession, result: PhaseResult[str]) -> None:
    """Store what came out."""


async def in_phases() -> None:
    """All three awaited, or only the one that waits."""
    assert_type(await run_in_phases(prepare_awaited, execute_awaited, record_awaited), str)
    assert_type(await safe.run_in_phases(prepare_awaited, execute_awaited, record), str)
    assert_type(await run_in_phases(prepare, execute_awaited, record), str)


# --- Tries of coroutines ---


async def tried() -> None:
    """Each way."""
    async for attempt in attempts(3):
        async with attempt as session:
            assert_type(session, AsyncSession)
    assert_type(await safe.run(execute_awaited, 1, retry=3), str)


# --- Streams ---


@stream_with_session
def lines(count: int) -> Iterator[str]:
    """A body."""
    yield from map(str, range(count))


@app.get("/lines")
def stream() -> Iterator[str]:
    """A view that streams."""
    return lines(3)


assert_type(next(lines(3)), str)
assert_type(next(stream_with_session(iter([b""]))), bytes)
assert_type(next(safe.stream_with_session([1])), int)
lines(3).close()
lines("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# --- Handing on ---

handoff(db.session)
safe.handoff(db.session())
handoff(AsyncSession())
handoff("session")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# --- Errors ---

base: type[errors.SafeSessionError] = errors.NoTransactionError
error_classes: list[type[errors.TransactionError]] = [
    errors.TransactionActiveError,
    errors.TransactionOwnershipError,
    errors.UnexpectedRollbackError,
    errors.CommitOutcomeUnknownError,
    errors.PartialCommitError,
    errors.PoolStarvationError,
    errors.SelfDeadlockError,
    errors.IsolationMismatchError,
    errors.ReadOnlyError,
    errors.HeldConnectionError,
]
context_errors: list[type[errors.ContextError]] = [errors.NoAppError, errors.StaleContextError]
warning: type[UserWarning | Warning] = errors.SafeSessionWarning

# --- What users hand around ---

callback: Callable[[int], str] = service


async def in_a_coroutine() -> None:
    """``async with`` gives the asynchronous session; decorators keep coroutine functions what they are."""
    async with session_manager() as session:
        assert_type(session, AsyncSession)

    @transactional
    async def store(name: str) -> int:
        return len(name)

    assert_type(await store("a"), int)
