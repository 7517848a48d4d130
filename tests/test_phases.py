"""``run_in_phases()``: two short scopes, and no connection between them."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, scoped_session, sessionmaker

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
    UncommittedChangesError,
    UncommittedChangesWarning,
    UnexpectedRollbackError,
)

from .kit import Kit, MakeKit


@dataclass
class Job:
    """The three functions of a job, and what it saw."""

    kit: Kit
    work: Callable[[str], Any] = str.upper
    results: list[PhaseResult[Any]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)

    def prepare(self, session: Session) -> str:
        """Mark the job as running."""
        session.add(self.kit.Item(name="running"))
        return "value"

    def execute(self, prepared: str) -> Any:
        """Note how many connections are out, and work."""
        self.held.append(self.kit.checkedout())
        return self.work(prepared)

    def record(self, session: Session, result: PhaseResult[Any]) -> None:
        """Store the status."""
        self.results.append(result)
        session.add(self.kit.Item(name=result.status))

    def run(self) -> Any:
        """Run the phases in the context that is open."""
        return run_in_phases(self.prepare, self.execute, self.record)

    def __call__(self) -> Any:
        """Run the phases in a context."""
        with self.kit.app.app_context():
            return self.run()


def _raising(error: BaseException) -> Callable[[str], Any]:
    def work(_: str) -> Any:
        raise error

    return work


def _notes(error: BaseException) -> list[str]:
    return list(vars(error).get("__notes__", []))


# --- what is run


def test_the_three_phases(kit: Kit) -> None:
    """The first phase is stored and its connection back before the second, whose value the third records."""
    job = Job(kit, work=lambda prepared: (prepared.upper(), kit.names()))
    assert job() == ("VALUE", ["running"])
    assert (kit.names(), job.held) == (["running", "succeeded"], [0])
    (result,) = job.results
    assert (result.status, result.value) == ("succeeded", ("VALUE", ["running"]))
    assert result.error is None
    assert result.elapsed >= 0


def test_every_way_of_having_sessions(any_kit: Kit) -> None:
    """It works on each kind of session."""
    job = Job(any_kit)
    assert job() == "VALUE"
    assert (any_kit.names(), job.held) == (["running", "succeeded"], [0])


def test_an_error_is_recorded_and_raised(kit: Kit) -> None:
    """The error of the second phase comes out as the same object, after it was recorded."""
    error = KeyError("solver")
    job = Job(kit, work=_raising(error))
    with pytest.raises(KeyError) as caught:
        job()
    assert caught.value is error
    assert kit.names() == ["failed", "running"]
    assert [(each.status, each.value, each.error) for each in job.results] == [
        ("failed", None, error)
    ]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_is_recorded_too(sqlite_kit: Kit, kind: type[BaseException]) -> None:
    """Ctrl-C does not leave a job that is running for ever."""
    with pytest.raises(kind):
        Job(sqlite_kit, work=_raising(kind()))()
    assert sqlite_kit.names() == ["failed", "running"]


def test_nothing_runs_after_a_failed_first_phase(kit: Kit) -> None:
    """When ``prepare`` fails it is rolled back, and its error comes out."""
    job = Job(kit)

    def prepare(session: Session) -> str:
        session.add(kit.Item(name="running"))
        session.flush()
        raise LookupError

    with kit.app.app_context(), pytest.raises(LookupError):
        run_in_phases(prepare, job.execute, job.record)
    assert (kit.names(), job.held, job.results) == ([], [], [])


def test_a_first_phase_that_asks_for_a_rollback(sqlite_kit: Kit) -> None:
    """Where nothing was marked as running, nothing is executed."""
    job = Job(sqlite_kit)

    def prepare(session: Session) -> str:
        scope = current_scope()
        assert scope is not None
        scope.set_rollback_only()
        return job.prepare(session)

    with (
        sqlite_kit.app.app_context(),
        pytest.raises(
            UnexpectedRollbackError, match=r"prepare' asked for a rollback, so nothing was executed"
        ),
    ):
        run_in_phases(prepare, job.execute, job.record)
    assert (sqlite_kit.names(), job.held, job.results) == ([], [], [])


def test_a_third_phase_that_fails(kit: Kit) -> None:
    """Its error comes out, and says what was not recorded."""

    def record(session: Session, result: PhaseResult[str]) -> None:
        session.add(kit.Item(name="done"))
        session.flush()
        raise LookupError

    with kit.app.app_context(), pytest.raises(LookupError) as caught:
        run_in_phases(Job(kit).prepare, Job(kit).execute, record)
    assert kit.names() == ["running"]
    assert _notes(caught.value) == ["The job had succeeded, and that was not recorded."]


def test_a_second_and_a_third_phase_that_fail(kit: Kit) -> None:
    """The error of ``execute`` comes out, with a note of the other one."""
    error = KeyError("solver")

    def record(session: Session, result: PhaseResult[str]) -> None:
        raise LookupError("no such row")

    with kit.app.app_context(), pytest.raises(KeyError) as caught:
        run_in_phases(Job(kit).prepare, Job(kit, work=_raising(error)).execute, record)
    assert caught.value is error
    (note,) = _notes(error)
    assert note.endswith("record' failed, and that was not recorded: LookupError: no such row")


def _with_a_hook(phase: Callable[..., Any], error: BaseException) -> Callable[..., Any]:
    """*phase*, which stores what it stores, and whose hook fails after the COMMIT."""

    def with_a_hook(*args: Any) -> Any:
        on_commit(_raising(error), "hook")
        return phase(*args)

    return with_a_hook


@pytest.mark.parametrize("error", [KeyError("hook"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_a_hook_of_the_first_phase_that_fails(kit: Kit, error: BaseException) -> None:
    """The job is stored as running by then: that it has failed is recorded, and the hook's error comes out."""
    job = Job(kit)
    with kit.app.app_context(), pytest.raises(type(error)) as caught:
        run_in_phases(_with_a_hook(job.prepare, error), job.execute, job.record)
    assert caught.value is error
    assert (kit.names(), job.held) == (["failed", "running"], [])
    assert [(each.status, each.error, each.elapsed) for each in job.results] == [
        ("failed", error, 0)
    ]


def test_a_hook_of_the_first_phase_that_is_only_logged(make_kit: MakeKit) -> None:
    """In production, where hooks that fail are logged, the job goes on."""
    kit = make_kit(options={"hook_errors": "log"})
    job = Job(kit)
    with kit.app.app_context():
        assert run_in_phases(_with_a_hook(job.prepare, KeyError()), job.execute, job.record)
    assert kit.names() == ["running", "succeeded"]


def test_a_hook_of_the_third_phase_that_fails(kit: Kit) -> None:
    """Its error comes out, and says that the end of the job is stored."""
    job = Job(kit)
    with kit.app.app_context(), pytest.raises(KeyError) as caught:
        run_in_phases(job.prepare, job.execute, _with_a_hook(job.record, KeyError("hook")))
    assert kit.names() == ["running", "succeeded"]
    assert _notes(caught.value)[-1] == "The job had succeeded, and that is recorded."


def test_a_failed_second_phase_and_a_hook_of_the_third_that_fails(sqlite_kit: Kit) -> None:
    """The error of the second phase comes out, and its note does not say that it is not stored."""
    job = Job(sqlite_kit, work=_raising(error := LookupError("solver")))
    record = _with_a_hook(job.record, KeyError("hook"))
    with sqlite_kit.app.app_context(), pytest.raises(LookupError):
        run_in_phases(job.prepare, job.execute, record)
    assert sqlite_kit.names() == ["failed", "running"]
    (note,) = _notes(error)
    assert note.endswith("with_a_hook' failed, and that is recorded: KeyError: 'hook'")


def test_an_interrupted_third_phase(sqlite_kit: Kit) -> None:
    """Ctrl-C while an error is recorded is not swallowed."""

    def record(session: Session, result: PhaseResult[str]) -> None:
        raise KeyboardInterrupt

    job = Job(sqlite_kit, work=_raising(KeyError()))
    with sqlite_kit.app.app_context(), pytest.raises(KeyboardInterrupt) as caught:
        run_in_phases(job.prepare, job.execute, record)
    assert _notes(caught.value) == ["The job had failed, and that was not recorded."]


def test_the_scopes_have_the_names_of_the_phases(sqlite_kit: Kit) -> None:
    """Messages about a scope name the function that it runs."""
    names = []

    def prepare(session: Session) -> None:
        names.append(str(current_scope()))

    def execute(prepared: None) -> None:
        names.append(str(current_scope()))

    def record(tail: str, session: Session, result: PhaseResult[None]) -> None:
        names.append(str(current_scope()))

    with sqlite_kit.app.app_context():
        run_in_phases(prepare, execute, functools.partial(record, ""))
    line = prepare.__code__.co_firstlineno
    assert names[:2] == [f"'prepare' (tests/test_phases.py:{line})", "None"]
    assert names[2].startswith("'record' (tests/test_phases.py:")


def test_phases_need_no_functions(sqlite_kit: Kit) -> None:
    """Any object that can be called is a phase."""

    class Prepare:
        def __call__(self, session: Session) -> str:
            return "value"

    with sqlite_kit.app.app_context():
        assert run_in_phases(Prepare(), max, lambda session, result: None) == "value"[:0] or "v"


def test_an_error_is_not_kept(sqlite_kit: Kit) -> None:
    """No cycle keeps the error of a job, and the frames of its traceback, until the collector comes."""

    class SolverError(Exception):
        """An error that can be weakly referenced."""

    def work(_: str) -> None:
        raise SolverError

    def run() -> weakref.ref[BaseException]:
        with sqlite_kit.app.app_context():
            try:
                run_in_phases(lambda session: "", work, lambda session, result: None)
            except SolverError as error:
                return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        assert run()() is None
    finally:
        gc.enable()


# --- what is around


def test_inside_a_scope(sqlite_kit: Kit) -> None:
    """It is refused, with both places, before anything runs."""
    job = Job(sqlite_kit)
    with sqlite_kit.app.app_context():
        with session_manager(name="outer"):
            with pytest.raises(TransactionActiveError) as caught:
                job.run()
    assert str(caught.value) == (
        f"'run' (tests/test_phases.py:{Job.run.__code__.co_firstlineno + 2}) called 'run_in_phases' inside the "
        f"transaction that 'outer' owns (tests/test_phases.py:{test_inside_a_scope.__code__.co_firstlineno + 4}), "
        "whose connection would be held while 'Job.execute' runs. Call it outside of that block; a job that "
        "uses phases is run without 'transactional=True'."
    )
    assert job.held == []


def test_inside_a_transactional_function(sqlite_kit: Kit) -> None:
    """The decorator opens a scope like any other."""
    job = Job(sqlite_kit)
    with sqlite_kit.app.app_context(), pytest.raises(TransactionActiveError, match="'run' owns"):
        transactional(job.run)()


def test_inside_a_suspended_scope(sqlite_kit: Kit) -> None:
    """A scope that waits holds its connection too."""
    job = Job(sqlite_kit)
    with sqlite_kit.app.app_context():
        with session_manager(name="outer"):
            with session_manager(propagation="not_supported"):
                with pytest.raises(TransactionActiveError, match="'outer' owns"):
                    job.run()


def test_inside_a_hand_written_block(sqlite_kit: Kit) -> None:
    """So does ``with session.begin():``."""
    job = Job(sqlite_kit)
    with sqlite_kit.app.app_context():
        with sqlite_kit.session().begin():
            with pytest.raises(TransactionActiveError, match=r"inside 'with session\.begin\(\):'"):
                job.run()


def test_without_an_app_context(sqlite_kit: Kit) -> None:
    """There is no session to prepare anything with."""
    with pytest.raises(NoAppError):
        Job(sqlite_kit).run()


def test_the_method_serves_its_own_app(sqlite_kit: Kit, make_kit: MakeKit) -> None:
    """``SafeSession.run_in_phases`` is the same, for its own app only."""
    job = Job(sqlite_kit)
    with sqlite_kit.app.app_context():
        run = sqlite_kit.safe.run_in_phases
        assert run(job.prepare, job.execute, job.record) == "VALUE"
    with make_kit().app.app_context(), pytest.raises(NoAppError, match="while the current app is"):
        run(job.prepare, job.execute, job.record)


def test_an_idle_connection_is_given_back_first(kit: Kit) -> None:
    """What was read before is read anew by the first phase, and no connection waits during the second."""
    job = Job(kit)
    with kit.app.app_context():
        session = kit.db.session()
        session.execute(select(kit.Item.id)).all()
        before = session.get_transaction()
        job.prepare = lambda session: str(session.get_transaction() is before)  # type: ignore[method-assign]
        assert (kit.checkedout(), job.run()) == (1, "FALSE")
    assert job.held == [0]


def test_an_idle_read_keeps_its_objects(sqlite_kit: Kit) -> None:
    """An object that the view has loaded is still attached after the job."""
    kit = sqlite_kit
    with kit.app.app_context():
        with session_manager() as session:
            session.add(kit.Item(name="user"))
        user = kit.session().scalars(select(kit.Item)).one()
        Job(kit).run()
        assert user.name == "user"


def test_pending_changes_go_with_the_first_phase(kit: Kit) -> None:
    """As every scope, that of ``prepare`` adopts what the context has changed before."""
    with kit.app.app_context():
        kit.session().add(kit.Item(name="before"))
        Job(kit, work=lambda prepared: kit.names()).run()
    assert kit.names() == ["before", "running", "succeeded"]


def test_hooks_of_a_hand_written_read_are_kept(sqlite_kit: Kit) -> None:
    """A hook that waits for the transaction runs when the first phase commits."""
    calls: list[str] = []
    with sqlite_kit.app.app_context():
        sqlite_kit.session().execute(select(1))
        on_commit(calls.append, "committed")
        Job(sqlite_kit).run()
    assert calls == ["committed"]


def _second_session(kit: Kit) -> Any:
    second = scoped_session(sessionmaker(kit.engine))
    kit.safe.include(second)
    return second


def test_a_second_session_is_given_back_too(kit: Kit) -> None:
    """No other session of the context keeps a connection that it only read with."""
    second = _second_session(kit)
    job = Job(kit)
    with kit.app.app_context():
        second.execute(select(1))
        job.run()
    assert job.held == [0]


def test_a_second_session_with_changes(sqlite_kit: Kit) -> None:
    """Nobody but its author can say what is to become of them."""
    second = _second_session(sqlite_kit)
    job = Job(sqlite_kit)
    with sqlite_kit.app.app_context():
        second.add(sqlite_kit.Item(name="second"))
        with pytest.raises(
            TransactionActiveError, match=r"another session .* holds changes .*: 1 new object\(s\)"
        ):
            job.run()
        second.rollback()
    assert (job.held, sqlite_kit.names()) == ([], [])


def test_a_second_session_with_a_savepoint(sqlite_kit: Kit) -> None:
    """A savepoint of another session is no idle read."""
    second = _second_session(sqlite_kit)
    with sqlite_kit.app.app_context():
        second.begin_nested()
        with pytest.raises(TransactionActiveError, match="that nobody committed"):
            Job(sqlite_kit).run()


# --- what the second phase leaves


def test_scopes_inside_the_second_phase(kit: Kit) -> None:
    """It may open its own, as often as it likes."""

    def work(prepared: str) -> str:
        for number in range(3):
            with session_manager() as session:
                session.add(kit.Item(name=f"step {number}"))
        return prepared

    Job(kit, work)()
    assert kit.names() == ["running", "step 0", "step 1", "step 2", "succeeded"]


def _leave_changes(kit: Kit) -> Callable[[str], Any]:
    return lambda prepared: kit.session().add(kit.Item(name="left"))


def test_changes_that_the_second_phase_leaves(kit: Kit) -> None:
    """They are reported and rolled back: the third phase would store them by accident."""
    with pytest.warns(UncommittedChangesWarning, match="1 new object"):
        Job(kit, _leave_changes(kit))()
    assert kit.names() == ["running", "succeeded"]


def test_changes_that_are_an_error(make_kit: MakeKit) -> None:
    """Where uncommitted changes are an error, the job has failed."""
    kit = make_kit(options={"uncommitted": "raise"})
    with pytest.raises(UncommittedChangesError):
        Job(kit, _leave_changes(kit))()
    assert kit.names() == ["failed", "running"]


def test_changes_that_an_error_cut_off(sqlite_kit: Kit) -> None:
    """They are rolled back without a warning: the error tells enough."""
    calls: list[str] = []

    def work(_: str) -> None:
        sqlite_kit.session().add(sqlite_kit.Item(name="left"))
        on_rollback(calls.append, "rolled back")
        raise KeyError

    with pytest.raises(KeyError):
        Job(sqlite_kit, work)()
    assert (sqlite_kit.names(), calls) == (["failed", "running"], ["rolled back"])


def test_a_read_that_the_second_phase_leaves(kit: Kit) -> None:
    """A connection that it only read with is given back, and the third phase begins a new transaction."""
    seen: list[bool] = []

    def execute(prepared: str) -> object:
        kit.session().execute(select(1))
        return kit.db.session().get_transaction()

    def record(session: Session, result: PhaseResult[object]) -> None:
        seen.append(session.get_transaction() is result.value)

    with kit.app.app_context():
        run_in_phases(Job(kit).prepare, execute, record)
    assert seen == [False]


def test_a_scope_that_the_second_phase_leaves_open(kit: Kit) -> None:
    """It is an error that is recorded, and the scope is rolled back."""
    calls: list[str] = []
    managers: list[Any] = []

    def work(_: str) -> None:
        managers.extend(session_manager(name=name) for name in ("outer", "inner"))
        session = [each.__enter__() for each in managers][-1]
        session.add(kit.Item(name="left"))
        on_rollback(calls.append, "rolled back")

    with pytest.raises(
        TransactionActiveError,
        match=r"^'Job\.execute' left the scope of 'inner' .* rolled back\. Enter",
    ):
        Job(kit, work)()
    assert (kit.names(), calls) == (["failed", "running"], ["rolled back"])


def test_a_suspension_that_the_second_phase_leaves_open(sqlite_kit: Kit) -> None:
    """The same for a block that suspends a scope."""
    managers: list[Any] = []

    def work(_: str) -> None:
        managers.extend([session_manager(), session_manager(propagation="not_supported")])
        for each in managers:
            each.__enter__()

    with pytest.raises(TransactionActiveError, match="left the session of a suspended scope open"):
        Job(sqlite_kit, work)()
    assert sqlite_kit.names() == ["failed", "running"]


def test_what_a_hook_of_the_first_phase_leaves(sqlite_kit: Kit) -> None:
    """A hook may not hold a connection during the second phase either."""
    kit = sqlite_kit
    job = Job(kit)

    def prepare(session: Session) -> str:
        on_commit(lambda: kit.session().execute(select(1)))
        return "value"

    with kit.app.app_context():
        run_in_phases(prepare, job.execute, job.record)
    assert job.held == [0]


def test_a_connection_that_a_test_has_lent(kit: Kit) -> None:
    """What a test kit has stored in its outer transaction is still there after the job.

    A stock session that is rolled back to give its connection back takes the rows of the test with it.
    """
    with kit.app.app_context(), kit.engine.connect() as connection:
        outer = connection.begin()
        kit.db.session.configure(bind=connection, join_transaction_mode="rollback_only")
        with session_manager() as session:
            session.add(kit.Item(name="row of the test"))
        kit.session().execute(select(1))
        Job(kit, lambda prepared: kit.session().execute(select(1)).all()).run()
        stored = connection.execute(select(kit.Item.name).order_by(kit.Item.name)).scalars().all()
        kit.db.session.remove()
        outer.rollback()
    assert stored == ["row of the test", "running", "succeeded"]


# --- what is refused


@dataclass(frozen=True)
class Prepared:
    """What a first phase may return."""

    items: dict[str, Any]


NESTED: dict[str, Callable[[Any], Any]] = {
    "bare": lambda item: item,
    "list": lambda item: [1, item],
    "tuple in a dict": lambda item: {"key": (item,)},
    "dataclass": lambda item: Prepared({"item": [item]}),
}


@pytest.mark.parametrize("wrap", NESTED.values(), ids=NESTED)
def test_an_instance_out_of_the_first_phase(kit: Kit, wrap: Callable[[Any], Any]) -> None:
    """It would be read again in the second phase, with a connection: it is refused, and nothing is stored."""
    job = Job(kit)

    def prepare(session: Session) -> Any:
        item = kit.Item(name="running")
        session.add(item)
        session.flush()
        return wrap(item)

    with (
        kit.app.app_context(),
        pytest.raises(
            DetachedArgumentError, match=r"prepare' returned an instance of 'Item', whose"
        ),
    ):
        run_in_phases(prepare, job.execute, job.record)
    assert (kit.names(), job.held, job.results) == ([], [], [])


def _generator(*_: Any) -> Iterator[None]:
    yield


REFUSED: dict[str, tuple[Any, str]] = {
    "a generator function": (
        _generator,
        "'_generator', which is a generator function: its body would",
    ),
    "no function": ("execute", "is 'execute'. Give a function."),
    "no parameters": (lambda: None, "which it does not take: too many positional arguments"),
    "more parameters": (
        lambda a, b, c: None,
        "which it does not take: missing a required argument",
    ),
}


@pytest.mark.parametrize("role", ["prepare", "execute", "record"])
@pytest.mark.parametrize(("phase", "message"), REFUSED.values(), ids=REFUSED)
def test_a_phase_that_cannot_be_called(
    sqlite_kit: Kit,
    role: Literal["prepare", "execute", "record"],
    phase: Any,
    message: str,
) -> None:
    """It is refused before anything runs, and not when an hour of work is to be recorded."""
    job = Job(sqlite_kit)
    phases: dict[str, Any] = {"prepare": job.prepare, "execute": job.execute, "record": job.record}
    with sqlite_kit.app.app_context(), pytest.raises(TypeError, match=f"'{role}' is ") as caught:
        run_in_phases(**{**phases, role: phase})
    assert message in str(caught.value)
    assert sqlite_kit.names() == []


def test_inside_a_savepoint_by_hand(sqlite_kit: Kit) -> None:
    """``begin_nested()`` is a transaction around it too: its owner would be committed."""
    with sqlite_kit.app.app_context(), sqlite_kit.db.session.begin_nested():
        with pytest.raises(
            TransactionActiveError, match=r"inside 'with session\.begin_nested\(\):'"
        ):
            run_in_phases(lambda session: None, lambda prepared: None, lambda session, result: None)


def test_a_row_that_prepare_returns(sqlite_kit: Kit) -> None:
    """A row holds the instance as well, and the session itself is no value."""
    kit = sqlite_kit
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="a"))
    for prepare in (
        lambda s: s.execute(select(kit.Item)).all(),
        lambda s: s,
        lambda s: s.query(kit.Item),
    ):
        with kit.app.app_context(), pytest.raises(DetachedArgumentError):
            run_in_phases(prepare, pytest.fail, lambda session, result: None)
