"""A COMMIT whose answer is lost: what was never sent is safe to try again, what was sent is looked up or unknown."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from time import monotonic
from typing import Any, cast

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from flask_safesession import (
    classify,
    current_scope,
    on_commit,
    on_rollback,
    on_unknown,
    session_manager,
)
from flask_safesession._core import fate
from flask_safesession._core.watchdog import Watchdog, watchdog
from flask_safesession.errors import CommitOutcomeUnknownError, PartialCommitError

from .commit_cuts import CUTS, DRIVERS, Counts, cut_commits
from .conftest import Wanted
from .kit import Kit, MakeKit
from .proxies import COMMIT, Cut, Proxy, proxied

TIMES = 20
POSTGRESQL = ("postgresql-psycopg", "postgresql-psycopg2")
SOCKETS = (*DRIVERS, "mariadb-mysqlclient")

Cuttable = tuple[Kit, Proxy]
MakeCuttable = Callable[..., Cuttable]


@pytest.fixture
def make_cuttable(make_kit: MakeKit, wanted: Wanted) -> Iterator[MakeCuttable]:
    """Make kits that reach their server by way of a proxy."""
    with ExitStack() as stack:

        def make(name: str, pattern: re.Pattern[bytes] = COMMIT, **arguments: Any) -> Cuttable:
            via, proxy = stack.enter_context(proxied(wanted.get(name), pattern))
            return make_kit(via, **arguments), proxy

        yield make


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_nothing_is_lost_or_stored_twice(
    make_cuttable: MakeCuttable, driver: str, cut: Cut
) -> None:
    """Nobody can tell where the line broke, so no unit is tried again and none is acknowledged."""
    kit, proxy = make_cuttable(driver)
    expected = Counts(acknowledged=0, unknown=TIMES, lost=0, doubled=0)
    assert cut_commits(kit, proxy, cut, TIMES) == expected


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("driver", POSTGRESQL)
def test_every_fate_is_learned(make_cuttable: MakeCuttable, driver: str, cut: Cut) -> None:
    """PostgreSQL tells it: each unit is acknowledged in the end, and stored once."""
    kit, proxy = make_cuttable(driver, options={"verify_commit": True})
    expected = Counts(acknowledged=TIMES, unknown=0, lost=0, doubled=0)
    assert cut_commits(kit, proxy, cut, TIMES) == expected


@pytest.mark.parametrize("driver", DRIVERS)
def test_stock_stores_twice_where_a_broken_connection_is_tried_again(
    make_cuttable: MakeCuttable, driver: str
) -> None:
    """What the tests above guard against: SQLAlchemy says "connection invalidated" wherever the line broke."""
    kit, proxy = make_cuttable(driver, safe=False)
    proxy.arm("after")
    for _ in range(2):
        with kit.app.app_context():
            kit.db.session.add(kit.Parent(name="a"))
            with suppress(DBAPIError):
                kit.db.session.commit()
    assert kit.count(kit.Parent) == 2


def _store(kit: Kit, ran: list[str], *, hand_written: bool = False) -> None:
    """Store one row, with a hook for each outcome."""

    def work() -> None:
        kit.db.session.add(kit.Item(name="a"))
        kit.db.session.flush()
        on_commit(ran.append, "commit")
        on_rollback(ran.append, "rollback")
        on_unknown(ran.append, "unknown")

    if hand_written:
        work()
        kit.db.session.commit()
        return
    with session_manager():
        work()


@pytest.mark.parametrize("hand_written", [False, True])
@pytest.mark.parametrize("driver", POSTGRESQL)
def test_a_commit_that_was_done_succeeds(
    make_cuttable: MakeCuttable, driver: str, hand_written: bool
) -> None:
    """No error, hooks run, and the next unit works on another connection."""
    ran = list[str]()
    kit, proxy = make_cuttable(driver, options={"verify_commit": True})
    proxy.arm("after")
    with kit.app.app_context():
        _store(kit, ran, hand_written=hand_written)
        assert (ran, kit.names(), kit.checkedout()) == (["commit"], ["a"], 0)
        with session_manager() as session:
            session.add(kit.Item(name="b"))
    assert kit.names() == ["a", "b"]


@pytest.mark.parametrize("hand_written", [False, True])
@pytest.mark.parametrize("driver", POSTGRESQL)
def test_a_commit_that_was_not_done_is_rolled_back(
    make_cuttable: MakeCuttable, driver: str, hand_written: bool
) -> None:
    """The driver's error is raised, and the work may be done again."""
    ran = list[str]()
    kit, proxy = make_cuttable(driver, options={"verify_commit": True})
    proxy.arm("before")
    with kit.app.app_context():
        with pytest.raises(DBAPIError) as caught:
            _store(kit, ran, hand_written=hand_written)
        kit.db.session.rollback()
    fault = classify(caught.value)
    assert (fault.category, fault.retry_safe, fault.http_status) == ("connection_lost", True, 503)
    assert (ran, kit.names(), kit.checkedout()) == (["rollback"], [], 0)


def test_the_look_up_does_not_wait_for_the_pool(make_cuttable: MakeCuttable) -> None:
    """The unit itself holds the only connection."""
    limits = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    kit, proxy = make_cuttable(
        POSTGRESQL[0], options={"verify_commit": True}, engine_options=limits
    )
    proxy.arm("after")
    with kit.app.app_context():
        _store(kit, [])
    assert kit.names() == ["a"]


@pytest.mark.parametrize("driver", POSTGRESQL)
def test_a_server_that_cannot_be_reached_leaves_it_unknown(
    make_cuttable: MakeCuttable, driver: str
) -> None:
    """And within the time that is set."""
    ran, options = list[str](), {"verify_commit": True, "verify_seconds": 0.5}
    kit, proxy = make_cuttable(driver, options=options)
    proxy.arm("after")
    with kit.app.app_context():
        kit.db.session.connection()
        proxy.refuse()
        start = monotonic()
        with pytest.raises(CommitOutcomeUnknownError, match="connection broke"):
            _store(kit, ran)
    assert (ran, monotonic() - start < 5) == (["unknown"], True)


@pytest.mark.parametrize(
    "name", ["MariaDB", "an old PostgreSQL", "no server's name", "another server"]
)
def test_where_nobody_can_tell_it_stays_unknown(
    make_cuttable: MakeCuttable, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The setting changes nothing there, and harms nothing."""
    driver = "mariadb-pymysql" if name == "MariaDB" else "postgresql-psycopg"
    kit, proxy = make_cuttable(driver, options={"verify_commit": True, "verify_seconds": 0.3})
    with kit.app.app_context():
        connection = kit.db.session.connection()
        if name == "an old PostgreSQL":
            monkeypatch.setattr(kit.engine.dialect, "server_version_info", (12, 22))
        if name == "no server's name":
            monkeypatch.setattr(fate, "_ASK_SERVER", "SELECT nowhere")
        if name == "another server":
            connection.info["_safesession_server"] = "0000000242"
        proxy.arm("after")
        with pytest.raises(CommitOutcomeUnknownError):
            _store(kit, [])
    assert kit.names() == ["a"]


def test_a_connection_that_breaks_before_commit_is_sent_is_safe_to_try_again(
    make_cuttable: MakeCuttable,
) -> None:
    """Here it breaks at the question for the transaction's id."""
    ran = list[str]()
    kit, proxy = make_cuttable(
        POSTGRESQL[0], re.compile(rb"pg_current_xact_id"), options={"verify_commit": True}
    )
    proxy.arm("before")
    with kit.app.app_context():
        with pytest.raises(DBAPIError) as caught:
            _store(kit, ran)
    assert (classify(caught.value).category, ran) == ("connection_lost", ["rollback"])
    assert kit.names() == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_connection_that_breaks_in_the_last_flush_is_safe_to_try_again(
    make_cuttable: MakeCuttable, driver: str
) -> None:
    """COMMIT was never sent."""
    kit, proxy = make_cuttable(driver, re.compile(rb"INSERT"))
    proxy.arm("before")
    with kit.app.app_context():
        with pytest.raises(DBAPIError) as caught, session_manager() as session:
            scope = current_scope()
            session.add(kit.Item(name="a"))
    assert scope is not None
    assert (classify(caught.value).retry_safe, scope.outcome) == (True, "rolled_back")


def _questions(proxy: Proxy) -> int:
    return sum(b"pg_current_xact_id" in each for each in proxy.sent)


def test_a_scope_that_only_reads_costs_no_round_trip(make_cuttable: MakeCuttable) -> None:
    """Only what may have written is asked for its id, and nothing is where the setting is off."""
    asked = {}
    for verify in (True, False):
        kit, proxy = make_cuttable(POSTGRESQL[0], options={"verify_commit": verify})
        with kit.app.app_context():
            with session_manager() as session:
                session.scalars(select(kit.Item)).all()
            reading = _questions(proxy)
            with session_manager() as session:
                session.execute(text("SELECT 1"))
            with session_manager(read_only=True) as session:
                session.execute(text("SELECT 1"))
        asked[verify] = (reading, _questions(proxy))
    assert asked == {True: (0, 1), False: (0, 0)}


def test_what_wrote_nothing_is_safe_to_try_again(make_cuttable: MakeCuttable) -> None:
    """It was asked for its id, and has none."""
    kit, proxy = make_cuttable(POSTGRESQL[0], options={"verify_commit": True})
    proxy.arm("after")
    with kit.app.app_context():
        with pytest.raises(DBAPIError) as caught, session_manager() as session:
            session.execute(text("SELECT 1"))
    assert classify(caught.value).retry_safe


@pytest.mark.parametrize("cut", ["silence before", "silence after"])
@pytest.mark.parametrize("driver", SOCKETS)
def test_a_commit_without_an_answer_ends(
    make_cuttable: MakeCuttable, driver: str, cut: Cut
) -> None:
    """The line is open and nothing passes: psycopg 3 would wait for hours."""
    ran = list[str]()
    kit, proxy = make_cuttable(driver, options={"commit_timeout": 0.2})
    proxy.arm(cut)
    start = monotonic()
    with kit.app.app_context():
        with pytest.raises(CommitOutcomeUnknownError, match=r"no answer within 0\.2 s"):
            _store(kit, ran)
        assert (ran, monotonic() - start < 5, kit.checkedout()) == (["unknown"], True, 0)
        with session_manager() as session:
            session.add(kit.Parent(name="b"))
    assert kit.count(kit.Parent) == 1


@pytest.mark.parametrize("driver", POSTGRESQL)
@pytest.mark.parametrize(("cut", "known"), [("silence before", False), ("silence after", True)])
def test_the_fate_of_a_commit_without_an_answer_is_learned(
    make_cuttable: MakeCuttable, driver: str, cut: Cut, known: bool
) -> None:
    """A server that waits for COMMIT still says "in progress": that stays unknown."""
    ran, options = list[str](), {"commit_timeout": 0.2, "verify_commit": True, "verify_seconds": 1}
    kit, proxy = make_cuttable(driver, options=options)
    proxy.arm(cut)
    with kit.app.app_context(), ExitStack() as stack:
        if not known:
            stack.enter_context(pytest.raises(CommitOutcomeUnknownError))
        _store(kit, ran)
    assert ran == ["commit" if known else "unknown"]


def test_a_commit_by_hand_without_an_answer_ends_too(make_cuttable: MakeCuttable) -> None:
    """It keeps the driver's error."""
    kit, proxy = make_cuttable(DRIVERS[0], options={"commit_timeout": 0.2})
    proxy.arm("silence before")
    with kit.app.app_context():
        with pytest.raises(DBAPIError) as caught:
            _store(kit, [], hand_written=True)
        kit.db.session.rollback()
    assert classify(caught.value).category == "commit_unknown"


@pytest.mark.parametrize("driver", POSTGRESQL)
def test_a_commit_that_was_answered_is_not_looked_up(make_kit: MakeKit, driver: str) -> None:
    """A deferred key fails at COMMIT, and that is all there is to know."""
    kit = make_kit(driver, options={"verify_commit": True})
    with kit.app.app_context():
        with pytest.raises(IntegrityError), session_manager() as session:
            session.add(kit.LateChild(name="orphan", parent_id=-1))
    assert kit.count(kit.LateChild) == 0


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_connection_that_the_program_has_closed_is_not_watched(
    make_kit: MakeKit, driver: str
) -> None:
    """COMMIT cannot be sent, and the driver says so in its own way."""
    kit = make_kit(driver)
    with kit.app.app_context():
        with pytest.raises((DBAPIError, CommitOutcomeUnknownError)), session_manager() as session:
            raw: Any = session.connection().connection.dbapi_connection
            raw.close()
    assert kit.checkedout() == 0


def test_only_what_is_overdue_and_waits_still_is_ended() -> None:
    """A socket that is gone meanwhile harms nobody."""
    young: Any = object()
    old, gone = object(), object()
    commits: Any = watchdog._waiting
    commits.update({young: (monotonic() + 60, -1), old: (0, -1)})
    watchdog.end_overdue()
    watchdog._end(cast(Any, gone), -1)
    assert (watchdog.release(young), watchdog.release(cast(Any, old))) == (False, True)


def test_two_commits_wake_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both found it asleep, and the second waits for the first."""
    monkeypatch.setattr(watchdog, "awake", True)
    before = _watchers()
    watchdog.wake()
    assert _watchers() == before


def test_an_answer_at_the_last_moment_counts(make_kit: MakeKit) -> None:
    """The watchdog has just ended the connection, which is not used again."""
    kit, ran = make_kit(DRIVERS[0]), list[str]()
    with kit.app.app_context():
        dialect: Any = kit.engine.dialect
        _store(kit, [])
        original = vars(dialect)["_safesession_do_commit"]

        def commit(fairy: Any) -> None:
            original(fairy)
            watchdog._waiting[fairy] = (0, fairy.dbapi_connection.fileno())
            watchdog.end_overdue()

        vars(dialect)["_safesession_do_commit"] = commit
        with session_manager() as session:
            session.add(kit.Item(name="b"))
            on_commit(ran.append, "commit")
        vars(dialect)["_safesession_do_commit"] = original
        with session_manager() as session:
            session.add(kit.Item(name="c"))
    assert (ran, kit.names(), kit.checkedout()) == (["commit"], ["a", "b", "c"], 0)


def test_no_limit_and_no_thread(make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 waits as long as it takes."""
    kit = make_kit(DRIVERS[0], options={"commit_timeout": 0})
    monkeypatch.setattr(watchdog, "watch", None)
    with kit.app.app_context():
        _store(kit, [])
    assert kit.names() == ["a"]


def _watchers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "safesession-commits"]


def test_one_thread_looks_after_all_commits_and_ends(
    make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there while something is committed, and gone when nothing is."""
    room = "flask_safesession._core.lookout"
    monkeypatch.setattr(f"{room}._LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(f"{room}._IDLE_SECONDS", 0)
    _await_watchers()
    monkeypatch.setattr(f"{room}._IDLE_SECONDS", 1_000_000)
    kit = make_kit(DRIVERS[0])
    with kit.app.app_context():
        for number in range(3):
            with session_manager() as session:
                session.add(kit.Item(name=str(number)))
            assert len(_watchers()) == 1
    monkeypatch.setattr(f"{room}._IDLE_SECONDS", 0)
    _await_watchers()
    assert _watchers() == []


def _await_watchers() -> None:
    for thread in _watchers():
        thread.join(timeout=10)


def test_a_fork_leaves_the_thread_that_a_commit_needs() -> None:
    """It ends only where nobody waits, so that Python warns of no second thread that is ours."""
    commit: Any = object()
    watchdog.watch(commit, -1, 60)
    watchdog.stop()
    assert len(_watchers()) == 1
    watchdog.release(commit)
    watchdog.stop()
    assert _watchers() == []


def test_a_commit_that_begins_as_the_thread_ends_is_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It found the thread awake, which looks once more before it is gone."""
    monkeypatch.setattr("flask_safesession._core.lookout._IDLE_SECONDS", 0)
    dog, commit, started = Watchdog(), cast(Any, object()), list[bool]()
    monkeypatch.setattr(dog, "wake", lambda: started.append(True))
    dog._waiting[commit] = (monotonic() + 60, -1)
    dog._run()
    assert started == [True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_child_watches_by_itself(make_cuttable: MakeCuttable) -> None:
    """The thread of its parent is not there."""
    kit, proxy = make_cuttable(DRIVERS[0], options={"commit_timeout": 0.2})
    with kit.app.app_context():
        _store(kit, [])
    proxy.arm("silence before")
    child = os.fork()
    if not child:
        try:
            with kit.app.app_context(), session_manager() as session:
                session.add(kit.Item(name="b"))
        except CommitOutcomeUnknownError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def _store_both(kit: Kit) -> None:
    with session_manager() as session:
        session.add_all([kit.Item(name="a"), kit.Other(name="a")])


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_second_of_two_databases_may_be_in_doubt(
    make_cuttable: MakeCuttable, driver: str
) -> None:
    """What was stored, and what nobody knows, have different names."""
    kit, proxy = make_cuttable(driver, binds=True)
    proxy.arm("none", "after")
    with kit.app.app_context():
        with pytest.raises(PartialCommitError) as caught:
            _store_both(kit)
    error = caught.value
    assert (error.stored, error.not_stored, error.unknown) == (("default",), (), ("second",))


@pytest.mark.parametrize("cuts", [("after",), ("none", "after"), ("after", "after")])
@pytest.mark.parametrize("driver", POSTGRESQL)
def test_the_fate_of_each_database_is_learned(
    make_cuttable: MakeCuttable, driver: str, cuts: tuple[Cut, ...]
) -> None:
    """Both have committed, whichever answers were lost."""
    kit, proxy = make_cuttable(driver, binds=True, options={"verify_commit": True})
    proxy.arm(*cuts)
    with kit.app.app_context():
        _store_both(kit)
        assert (kit.names(), kit.other_names(), kit.checkedout()) == (["a"], ["a"], 0)


@pytest.mark.parametrize("driver", POSTGRESQL)
def test_a_second_database_that_has_not_committed_is_named(
    make_cuttable: MakeCuttable, driver: str
) -> None:
    """It was asked, so nothing is in doubt."""
    kit, proxy = make_cuttable(driver, binds=True, options={"verify_commit": True})
    proxy.arm("none", "before")
    with kit.app.app_context():
        with pytest.raises(PartialCommitError) as caught:
            _store_both(kit)
    error = caught.value
    assert (error.stored, error.not_stored, error.unknown) == (("default",), ("second",), ())
