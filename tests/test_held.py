"""Connections that are held: who holds them, for how long, and how they are taken back."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Final

import pytest
from flask import Response
from sqlalchemy import Connection, NullPool, select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from flask_safesession import Holder, errors, handoff, session_manager
from flask_safesession._core import holding
from flask_safesession._core.ledger import ledger_of

from .flasks import raised_at_the_end
from .kit import Kit, MakeKit

ONE: Final = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
SOON: Final = {"SAFESESSION_HELD_SECONDS": 0.1}
SECONDS: Final = 10


class Reported:
    """The warnings of a block, which come from another thread."""

    def __init__(self) -> None:
        self.event = Event()
        self.messages: list[str] = []
        self.places: list[tuple[str, int]] = []

    def show(self, message: Any, category: type[Warning], path: str, line: int, *_: Any) -> None:
        """Stand in for ``warnings.showwarning``."""
        assert category is errors.HeldConnectionWarning
        self.messages.append(str(message))
        self.places.append((path, line))
        self.event.set()

    def wait(self) -> str:
        """The first message, which must come soon."""
        assert self.event.wait(SECONDS)
        return self.messages[0]


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reported]:
    """What is warned of during the test, wherever it is."""
    reported = Reported()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", reported.show)
        yield reported


def only_holder(kit: Kit) -> Holder:
    (holder,) = kit.safe.statistics().holders
    return holder


@contextmanager
def in_thread(work: Any) -> Iterator[Thread]:
    """Run *work* in a thread during the block."""
    thread = Thread(target=work, name="worker")
    thread.start()
    try:
        yield thread
    finally:
        thread.join(SECONDS)


# --- Who holds it ---


def test_a_scope_is_named_with_its_line_and_statement(kit: Kit) -> None:
    """Stock SQLAlchemy knows how many connections are out, and nothing about who has them."""
    with kit.app.app_context(), session_manager(name="import") as session:
        session.execute(select(kit.Item.name))
        holder = only_holder(kit)
    assert (holder.scope, holder.thread, holder.task) == ("import", "MainThread", None)
    assert "test_a_scope_is_named_with_its_line_and_statement' (" in holder.place
    assert holder.statement == "SELECT item.name FROM item"
    assert 0 <= holder.seconds < SECONDS


TAKE: Final[dict[str, Any]] = {
    "execute": lambda kit, session: session.execute(select(1)),
    "scalar": lambda kit, session: session.scalar(select(1)),
    "scalars": lambda kit, session: session.scalars(select(1)),
    "get": lambda kit, session: session.get(kit.Item, 1),
    "connection": lambda kit, session: session.connection(),
    "query": lambda kit, session: session.query(kit.Item).all(),
    "flush": lambda kit, session: (session.add(kit.Item(name="a")), session.flush()),
    "bulk": lambda kit, session: session.bulk_insert_mappings(kit.Item, [{"name": "a"}]),
}


@pytest.mark.parametrize("call", TAKE)
def test_the_line_is_the_one_that_took_the_connection(any_kit: Kit, call: str) -> None:
    """However many functions of the libraries lie between, the reader's own line is named."""
    take = TAKE[call]
    with any_kit.app.app_context(), session_manager() as session:
        take(any_kit, session)
        place = only_holder(any_kit).place
    line = take.__code__.co_firstlineno
    assert place.startswith("'<lambda>' (")
    assert place.endswith(f"tests/test_held.py:{line})")


RAW: Final = {
    "connect": lambda engine: engine.connect(),
    "raw_connection": lambda engine: engine.raw_connection(),
}


@pytest.mark.parametrize("call", RAW)
def test_a_connection_without_a_session_is_known(kit: Kit, call: str) -> None:
    """What is taken past every session is out of the pool all the same."""
    with kit.app.app_context():
        connection = RAW[call](kit.engine)
        holder = only_holder(kit)
        connection.close()
    assert holder.place.startswith("'<lambda>' (")
    assert (holder.scope, holder.statement) == (None, None)
    assert holder.context == f"a context of '{kit.app.name}'"


def test_a_request_is_named_by_its_rule(sqlite_kit: Kit) -> None:
    """The rule tells the view, and has no values of the user's in it."""
    found = []

    @sqlite_kit.app.get("/items/<name>")
    def view(name: str) -> str:
        with session_manager() as session:
            session.execute(select(1))
            found.append(only_holder(sqlite_kit).context)
        return name

    sqlite_kit.app.test_client().get("/items/secret")
    assert found == ["request 'GET /items/<name>'"]


def test_a_plain_session_is_known_by_its_thread(sqlite_kit: Kit) -> None:
    """Hand-written code has no scope; its thread and its line are known."""
    taken, done = Event(), Event()

    def work() -> None:
        with sqlite_kit.app.app_context():
            sqlite_kit.db.session.execute(select(1))
            taken.set()
            done.wait(SECONDS)

    with in_thread(work):
        assert taken.wait(SECONDS)
        holder = only_holder(sqlite_kit)
        done.set()
    assert (holder.scope, holder.thread) == (None, "worker")
    assert holder.elsewhere is not None
    assert "'work' (" in holder.elsewhere


def test_what_came_back_has_no_holder(kit: Kit) -> None:
    """Neither a session nor a connection is listed when it has given its connection back."""
    with kit.app.app_context():
        with session_manager() as session:
            session.execute(select(1))
        with kit.engine.connect():
            pass
        assert kit.safe.statistics().holders == ()


def test_a_detached_connection_has_no_holder(kit: Kit) -> None:
    """What was taken out of the pool for good is no longer the pool's."""
    with kit.app.app_context(), kit.engine.connect() as connection:
        connection.detach()
        assert kit.safe.statistics().holders == ()


def test_a_long_statement_is_cut(sqlite_kit: Kit) -> None:
    """A statement of any length makes one line."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.execute(text("SELECT 1\n" + " " * 9 + "," * 0 + " + 1" * 100))
        statement = only_holder(sqlite_kit).statement
    assert statement is not None
    assert statement.startswith("SELECT 1 + 1")
    assert len(statement) < 210


def test_generated_code_is_skipped(sqlite_kit: Kit) -> None:
    """Code that was made from a string has no line that anybody could look up."""
    names = {"__name__": __name__}
    exec("def generated(session, statement): session.execute(statement)", names)  # noqa: S102
    generated: Any = names["generated"]
    with sqlite_kit.app.app_context(), session_manager() as session:
        generated(session, select(1))
        place = only_holder(sqlite_kit).place
    assert place.startswith("'test_generated_code_is_skipped' (")


class Unprintable:
    """A statement that cannot be put into words."""

    def __str__(self) -> str:
        raise ValueError("no words")


def test_a_statement_without_words_is_named_by_its_class(sqlite_kit: Kit) -> None:
    """A read-out must not fail where a program works."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.execute(select(1))
        ledger_of(session).last = Unprintable()
        assert only_holder(sqlite_kit).statement == "Unprintable"


# --- An exhausted pool ---


def notes(error: BaseException) -> list[str]:
    """The notes of *error*."""
    return list(vars(error)["__notes__"])


def test_a_timeout_lists_the_holders(make_kit: MakeKit, database: Any) -> None:
    """Stock SQLAlchemy says that the limit was reached, and leaves the reader to guess by whom."""
    kit = make_kit(database, engine_options=ONE)
    failed: list[PoolTimeoutError] = []

    def work() -> None:
        with kit.app.app_context(), pytest.raises(PoolTimeoutError) as caught:
            kit.db.session.execute(select(1))
        failed.append(caught.value)

    with kit.app.app_context(), session_manager(name="report") as session:
        session.execute(select(1))
        with in_thread(work):
            pass
    (note,) = notes(failed[0])
    assert "held by:\n  'test_a_timeout_lists_the_holders' (" in note
    assert ", scope 'report', " in note
    assert "idle while the code is at 'in_thread' (" in note


def test_unknown_holders_are_counted(make_kit: MakeKit) -> None:
    """A session that is not guarded cannot be named, and is not forgotten."""
    kit = make_kit(engine_options=ONE)
    with kit.app.app_context(), Session(kit.engine) as stranger:
        stranger.execute(select(1))
        with pytest.raises(PoolTimeoutError) as caught:
            kit.db.session.execute(select(1))
    (note,) = notes(caught.value)
    assert note.endswith("1 more, taken where this extension does not see it")


def test_a_thread_that_waits_for_itself_is_told_at_once(make_kit: MakeKit, database: Any) -> None:
    """Stock SQLAlchemy waits ``pool_timeout`` seconds for what nobody can give back."""
    kit = make_kit(database, engine_options={**ONE, "pool_timeout": 30})
    begun = time.monotonic()
    with kit.app.app_context(), session_manager() as session:
        session.execute(select(1))
        with pytest.raises(PoolTimeoutError, match="holds all 1") as caught:
            kit.engine.connect()
    assert caught.type.__mro__[1] is errors.PoolStarvationError
    assert "sqlalche.me" not in str(caught.value)
    assert time.monotonic() - begun < 5


def test_what_only_the_collector_holds_is_no_deadlock(make_kit: MakeKit) -> None:
    """A session that nobody can reach is collected, and its connection is there."""
    kit = make_kit(flavour="sessionmaker", engine_options=ONE)
    with kit.app.app_context():
        session: Any = kit.db()
        session.execute(select(1))
        session.cycle = session
        del session
        with kit.engine.connect() as connection:
            assert connection.scalar(select(1)) == 1


def test_another_threads_connection_is_waited_for(make_kit: MakeKit) -> None:
    """A thread that holds some of the connections gets one that another gives back."""
    kit = make_kit(engine_options={"pool_size": 2, "max_overflow": 0, "pool_timeout": 10})
    taken, asked = Event(), Event()

    def work() -> None:
        with kit.app.app_context(), session_manager() as session:
            session.execute(select(1))
            taken.set()
            asked.wait(SECONDS)

    with kit.app.app_context(), session_manager() as session, in_thread(work):
        session.execute(select(1))
        assert taken.wait(SECONDS)
        threading.Timer(0.1, asked.set).start()
        with kit.engine.connect() as connection:
            assert connection.scalar(select(1)) == 1


# --- Held too long ---


def test_a_long_hold_is_reported_while_it_lasts(
    make_kit: MakeKit, database: Any, reported: Reported
) -> None:
    """Stock SQLAlchemy never says anything; a report at check-in would come when it is over."""
    kit = make_kit(database, config=SOON)
    begun = time.monotonic()
    with kit.app.app_context(), session_manager(name="slow") as session:
        session.execute(select(1))
        message = reported.wait()
        waited = time.monotonic() - begun
    assert "for more than 0.1 s, scope 'slow', " in message
    assert "idle while the code is at 'wait' (" in message
    assert waited >= 0.1


def test_a_statement_that_takes_long_is_not_called_idle(
    make_kit: MakeKit, reported: Reported
) -> None:
    """Whoever waits for the database is not somewhere else."""
    kit = make_kit("postgresql-psycopg", config=SOON)
    with kit.app.app_context(), session_manager() as session:
        session.execute(text("SELECT pg_sleep(1.5)"))
    assert "last statement 'SELECT pg_sleep(1.5)'. Commit" in reported.wait()


def test_each_hold_is_reported_once(make_kit: MakeKit, reported: Reported) -> None:
    """The report is not repeated while the same connection stays out."""
    kit = make_kit(config=SOON)
    with kit.app.app_context(), session_manager() as session:
        session.execute(select(1))
        reported.wait()
        threading.Event().wait(0.4)
    assert len(reported.messages) == 1


def test_the_warning_points_at_the_line_that_took_it(make_kit: MakeKit, reported: Reported) -> None:
    """As every warning of the package does."""
    kit = make_kit(config=SOON)
    with kit.app.app_context(), kit.engine.connect():
        reported.wait()
    ((path, _),) = reported.places
    assert path == __file__


def test_off_says_nothing(make_kit: MakeKit, reported: Reported) -> None:
    """The setting silences it."""
    kit = make_kit(config={**SOON, "SAFESESSION_HELD_CONNECTION": "off"})
    with kit.app.app_context(), session_manager() as session:
        session.execute(select(1))
        assert not reported.event.wait(0.5)


def test_warnings_that_are_errors_are_logged(
    make_kit: MakeKit, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread that watches has nobody to raise an error to."""
    kit = make_kit(config=SOON)
    with kit.app.app_context(), session_manager() as session:
        session.execute(select(1))
        wait_for(lambda: caplog.messages != [])
    assert "has held a connection" in caplog.messages[0]


def wait_for(condition: Any) -> None:
    """Wait until *condition* holds, and not for ever."""
    pause, end = Event(), time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        pause.wait(0.01)


RAISE: Final = {**SOON, "SAFESESSION_HELD_CONNECTION": "raise"}


def wait_until_overdue(session: Session) -> None:
    """Wait until the watching thread has looked at *session*."""
    wait_for(lambda: ledger_of(session).overdue is not None)


def test_raise_refuses_the_next_statement(make_kit: MakeKit, database: Any) -> None:
    """With ``"raise"`` the transaction cannot go on, and nothing of it is stored."""
    kit = make_kit(database, config=RAISE)
    with kit.app.app_context():
        with pytest.raises(errors.HeldConnectionError, match=r"more than 0\.1 s"):
            with session_manager() as session:
                session.add(kit.Item(name="a"))
                session.flush()
                wait_until_overdue(session)
                session.execute(select(1))
        with session_manager() as session:
            session.add(kit.Item(name="b"))
    assert kit.names() == ["b"]


def test_raise_refuses_the_commit(make_kit: MakeKit, database: Any) -> None:
    """So does a transaction that has nothing more to send."""
    kit = make_kit(database, config=RAISE)
    with kit.app.app_context():
        with pytest.raises(errors.HeldConnectionError), session_manager() as session:
            session.add(kit.Item(name="a"))
            session.flush()
            wait_until_overdue(session)
        kit.db.session.add(kit.Item(name="b"))
        kit.db.session.commit()
    assert (kit.names(), kit.checkedout()) == (["b"], 0)


# --- Past the end of a context ---


def test_a_request_that_leaves_a_connection_is_reported_and_it_is_taken_back(
    kit: Kit, reported: Reported
) -> None:
    """In stock SQLAlchemy it is out for as long as somebody keeps it."""
    kept: list[Connection] = []

    @kit.app.get("/leak")
    def leak() -> str:
        kept.append(kit.engine.connect())
        kept[0].execute(select(1))
        return "done"

    kit.app.test_client().get("/leak")
    assert kit.checkedout() == 0
    assert "left it in a context that has ended; it was taken back" in reported.wait()
    with pytest.raises(StatementError, match="HeldConnectionError"):
        kept[0].execute(select(1))
    kept[0].close()


def test_a_session_of_its_own_that_a_request_leaves_is_closed(
    make_kit: MakeKit, database: Any, reported: Reported
) -> None:
    """``SessionLocal()`` without ``close()``: what it had written is rolled back."""
    kit = make_kit(database, "sessionmaker")
    kept: list[Session] = []

    @kit.app.get("/leak")
    def leak() -> str:
        kept.append(kit.db())
        kept[0].add(kit.Item(name="a"))
        kept[0].flush()
        return "done"

    kit.app.test_client().get("/leak")
    assert (kit.checkedout(), kit.names()) == (0, [])
    assert "'leak' (" in reported.wait()


def test_what_outlives_a_context_without_a_request_is_only_reported(
    sqlite_kit: Kit, reported: Reported
) -> None:
    """A script or a fixture may take a connection inside and use it outside."""
    with sqlite_kit.app.app_context():
        connection = sqlite_kit.engine.connect()
    assert "left it in a context that has ended, " in reported.wait()
    assert connection.scalar(select(1)) == 1
    connection.close()


def test_raise_raises_where_the_context_ends(make_kit: MakeKit) -> None:
    """A test run finds the leak."""
    kit = make_kit(config={"SAFESESSION_HELD_CONNECTION": "raise"})
    with raised_at_the_end(errors.HeldConnectionError, "a context that has ended"):
        with kit.app.app_context():
            connection = kit.engine.connect()
    connection.close()


def test_a_stream_keeps_what_its_view_has_opened(kit: Kit, reported: Reported) -> None:
    """Flask ends the context before the body runs, which is no leak."""

    @kit.app.get("/rows")
    def rows() -> Response:
        connection = kit.engine.connect()

        def body() -> Iterator[str]:
            with connection:
                yield str(connection.scalar(text("SELECT 7")))

        return Response(body())

    assert kit.app.test_client().get("/rows").text == "7"
    assert reported.messages == []


def test_another_contexts_connection_is_left_alone(sqlite_kit: Kit) -> None:
    """The end of one request says nothing about another one."""
    with sqlite_kit.app.app_context(), sqlite_kit.engine.connect() as connection:
        with sqlite_kit.app.app_context(), session_manager() as session:
            session.execute(select(1))
        assert connection.scalar(select(1)) == 1


def test_off_leaves_what_a_context_holds(make_kit: MakeKit, reported: Reported) -> None:
    """The setting silences the end of a context as well, and nothing is taken back."""
    kit = make_kit(config={"SAFESESSION_HELD_CONNECTION": "off"})
    with kit.app.app_context():
        connection = kit.engine.connect()
    assert connection.scalar(select(1)) == 1
    connection.close()
    assert reported.messages == []


# --- Threads that end ---


def test_a_session_that_was_handed_on_outlives_its_thread(
    make_kit: MakeKit, reported: Reported
) -> None:
    """The thread that took its connection has ended, and another one works with it."""
    kit = make_kit(flavour="sessionmaker", config=SOON)
    kept: list[Session] = []

    def work() -> None:
        _leave(kit, kept)
        handoff(kept[0])

    with in_thread(work):
        pass
    assert "in a thread that has ended. Commit" in reported.wait()
    kept[0].commit()
    kept[0].close()
    assert kit.names() == ["a"]


def test_a_connection_of_a_dead_thread_is_taken_back(
    make_kit: MakeKit, database: Any, reported: Reported
) -> None:
    """Its session is kept by somebody who does not know; stock SQLAlchemy never gets it back."""
    kit = make_kit(database, "sessionmaker", config=SOON)
    kept: list[Session] = []
    with in_thread(lambda: _leave(kit, kept)):
        pass
    assert "left it in a thread that has ended; it was taken back" in reported.wait()
    wait_for(lambda: kit.checkedout() == 0)
    assert kit.names() == []


def _leave(kit: Kit, kept: list[Session]) -> None:
    with kit.app.app_context():
        with session_manager() as session:
            kind: Any = type(session)
    session = kind(kit.engine)
    session.add(kit.Item(name="a"))
    session.flush()
    kept.append(session)


def test_an_exhausted_pool_takes_back_what_dead_threads_hold(
    make_kit: MakeKit, reported: Reported
) -> None:
    """Nobody has to wait for somebody who is gone."""
    kit = make_kit(flavour="sessionmaker", engine_options=ONE)
    kept: list[Session] = []
    with in_thread(lambda: _leave(kit, kept)):
        pass
    with kit.app.app_context(), session_manager() as session:
        assert session.scalar(select(1)) == 1
    assert "in a thread that has ended" in reported.wait()


# --- Pools ---


def test_a_forked_child_forgets_what_its_parent_had_taken(sqlite_kit: Kit) -> None:
    """The same as a real fork does, which ``test_forks`` makes in a process of its own."""
    with sqlite_kit.app.app_context(), sqlite_kit.engine.connect():
        holding._lookout.stop()
        holding._process.forked()
        assert sqlite_kit.safe.statistics().holders == ()


def test_a_pool_that_was_disposed_of_is_watched_again(sqlite_kit: Kit) -> None:
    """``engine.dispose()`` puts another pool in its place."""
    with sqlite_kit.app.app_context():
        sqlite_kit.engine.dispose()
        with sqlite_kit.engine.connect():
            assert only_holder(sqlite_kit).place.startswith("'test_a_pool_that_was_")


def test_a_null_pool_is_watched_too(make_kit: MakeKit) -> None:
    """It has no size and no limit, and its connections have holders."""
    kit = make_kit(engine_options={"poolclass": NullPool, "pool_timeout": None})
    with kit.app.app_context(), kit.engine.connect():
        (engine,) = kit.safe.statistics().engines
    assert (engine.pool, engine.size, engine.limit, engine.out) == ("NullPool", None, None, None)
    assert len(engine.holders) == 1


def test_the_figures_of_a_pool(make_kit: MakeKit) -> None:
    """Size, limit, what is out and what of it is overflow."""
    kit = make_kit(engine_options={"pool_size": 1, "max_overflow": 2, "pool_timeout": 1})
    with kit.app.app_context(), kit.engine.connect(), kit.engine.connect():
        (engine,) = kit.safe.statistics().engines
    assert (engine.name, engine.pool) == ("default", "QueuePool")
    assert (engine.size, engine.limit, engine.out, engine.overflow) == (1, 3, 2, 1)
    assert engine.holders[0].seconds >= engine.holders[1].seconds


def test_statistics_need_no_context(sqlite_kit: Kit) -> None:
    """A thread that collects metrics has none."""
    assert sqlite_kit.safe.statistics().engines[0].out == 0


def test_idle_sessions_of_others_cost_no_call(sqlite_kit: Kit) -> None:
    """The end of a context looks for those who hold a connection; many threads have a session and none."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        kind: Any = type(session)
    with sqlite_kit.engine.connect():
        _calls_of_a_context(sqlite_kit)  # the first one fills caches
        before = _calls_of_a_context(sqlite_kit)
        idle = [kind(sqlite_kit.db) for _ in range(1_000)]
        assert _calls_of_a_context(sqlite_kit) < before + len(idle) / 2  # some are the collector's


def _calls_of_a_context(kit: Kit) -> int:
    """How many Python functions a context with a scope and a statement calls."""
    calls = 0

    def count(frame: Any, kind: str, _: Any) -> None:
        nonlocal calls
        calls += kind == "call"

    sys.setprofile(count)
    try:
        with kit.app.app_context(), session_manager() as session:
            session.execute(text("SELECT 1"))
    finally:
        sys.setprofile(None)
    return calls
