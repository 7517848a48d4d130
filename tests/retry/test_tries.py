"""``@transactional(retry=…)`` and ``SafeSession.run``: what is new in each try, and when there is another one."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from flask_safesession import (
    AppContextManager,
    RetryPolicy,
    current_scope,
    on_commit,
    on_rollback,
    session_manager,
    transactional,
)
from flask_safesession.errors import (
    CommitOutcomeUnknownError,
    StaleContextError,
    TransactionActiveError,
)
from tests.kit import Flavour, Kit, MakeKit

from .faults import QUICK, conflict, locked, notes

_SERVERS = (
    pytest.param("postgresql-psycopg", marks=pytest.mark.postgresql),
    pytest.param("mariadb-pymysql", marks=pytest.mark.mariadb),
)


def _attempt() -> int:
    scope = current_scope()
    assert scope is not None
    return scope.attempt


def test_the_whole_transaction_is_tried_again(kit: Kit) -> None:
    """What a failed try has sent is rolled back; the last one is stored, once."""

    @transactional(retry=QUICK)
    def store() -> int:
        session = kit.session()
        session.add(kit.Item(name=f"try {_attempt()}"))
        session.flush()
        if _attempt() < 3:
            conflict(session, kit.database.dialect)
        return _attempt()

    with kit.app.app_context():
        assert store() == 3
    assert kit.names() == ["try 3"]


def test_without_retry_there_is_one_try(kit: Kit) -> None:
    """The stock behaviour stays: the caller gets the conflict."""
    with kit.app.app_context():
        with pytest.raises(Exception, match=r"conflict|locked|1213"):
            kit.safe.run(lambda: conflict(kit.session(), kit.database.dialect))


@pytest.mark.postgresql
@pytest.mark.parametrize("database", ["postgresql-psycopg", "postgresql-psycopg2"])
def test_the_commit_is_inside_the_loop(make_kit: MakeKit, database: str) -> None:
    """A fault of COMMIT itself, here of a deferred check, is tried again like one of a statement."""
    kit = make_kit(database)
    with kit.app.app_context():
        kit.session().execute(text(_DEFERRED))
        kit.session().commit()
    tries = []

    @transactional(retry=QUICK)
    def store() -> None:
        tries.append(_attempt())
        kit.session().add(kit.Item(name=f"try {_attempt()}", amount=_attempt()))

    try:
        with kit.app.app_context():
            store()
        assert (tries, kit.names()) == ([1, 2, 3], ["try 3"])
    finally:
        with kit.engine.begin() as connection:
            connection.execute(text("DROP FUNCTION not_yet CASCADE"))


_DEFERRED = """
CREATE FUNCTION not_yet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.amount < 3 THEN RAISE EXCEPTION 'not yet' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER not_yet AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION not_yet();
"""


def test_a_busy_commit_of_sqlite_is_tried_again(make_kit: MakeKit) -> None:
    """A reader blocks the COMMIT of the first try, and has gone when the second one comes."""
    kit = make_kit(engine_options={"connect_args": {"timeout": 0}})
    reader = kit.engine.raw_connection()
    tries = []

    def store() -> None:
        tries.append(_attempt())
        if _attempt() == 1:
            reader.cursor().execute("BEGIN").execute("SELECT * FROM item").fetchall()
        kit.session().add(kit.Item(name="a"))
        on_rollback(reader.close)

    with kit.app.app_context():
        kit.safe.run(store, retry=QUICK)
    assert (tries, kit.names()) == ([1, 2], ["a"])


def test_each_try_has_a_session_of_its_own(any_kit: Kit) -> None:
    """Nothing that a failed try has loaded or left unflushed is there in the next one."""
    seen: list[tuple[Session, int]] = []

    def work() -> None:
        with session_manager() as session:
            seen.append((session, len(session.identity_map) + len(session.new)))
            session.add(any_kit.Item(name=f"flushed {_attempt()}"))
            session.flush()
            session.add(any_kit.Item(name=f"pending {_attempt()}"))
        if _attempt() < 3:
            raise locked()

    with any_kit.app.app_context():
        any_kit.safe.run(work, retry=QUICK)
    assert [count for _, count in seen] == [0, 0, 0]
    assert len({id(session) for session, _ in seen}) == 3
    assert any_kit.names() == ["flushed 3", "pending 3"]


def test_the_session_of_a_failed_try_is_not_used_in_silence(kit: Kit) -> None:
    """Who kept it is told."""
    kept: list[Any] = []

    def work() -> None:
        with session_manager() as session:
            kept.append(session)
        if _attempt() == 1:
            raise locked()
        kept[0].execute(select(kit.Item))

    with kit.app.app_context(), pytest.raises(StaleContextError):
        kit.safe.run(work, retry=QUICK)


def test_what_the_context_had_loaded_is_there_in_each_try(any_kit: Kit) -> None:
    """Such as the user of the request: it can be changed and referred to in every try."""
    with any_kit.app.app_context():
        with session_manager() as session:
            session.add(any_kit.Item(name="user"))
        user = any_kit.safe.run(lambda: any_kit.session().scalars(select(any_kit.Item)).one())

        def work() -> None:
            user.amount += 1
            assert user in any_kit.session()
            if _attempt() < 3:
                any_kit.session().flush()
                raise locked()

        any_kit.safe.run(work, retry=QUICK)
        assert any_kit.safe.run(lambda: user.amount) == 1


def test_no_connection_is_held_during_a_wait(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of connections is not blocked by those who wait, nor are locks."""
    out = []
    monkeypatch.setattr("time.sleep", lambda _: out.append(kit.checkedout()))

    def work() -> None:
        kit.session().execute(insert(kit.Item).values(name="a"))
        raise locked()

    with kit.app.app_context():
        kit.session().execute(select(kit.Item)).all()
        with pytest.raises(Exception, match="locked"):
            kit.safe.run(work, retry=3)
    assert out == [0, 0]


def test_hooks_of_failed_tries_are_dropped(sqlite_kit: Kit) -> None:
    """``on_commit`` runs for the try that committed, ``on_rollback`` for each that did not."""
    ran: list[tuple[str, int]] = []

    def work() -> None:
        on_commit(ran.append, ("commit", _attempt()))
        on_rollback(ran.append, ("rollback", _attempt()))
        if _attempt() < 3:
            raise locked()

    with sqlite_kit.app.app_context():
        sqlite_kit.safe.run(work, retry=QUICK)
    assert ran == [("rollback", 1), ("rollback", 2), ("commit", 3)]


def test_an_error_after_the_commit_is_not_tried_again(sqlite_kit: Kit) -> None:
    """A hook that fails with a fault comes too late: the work is stored."""
    tries = []

    def hook() -> None:
        raise locked()

    def work() -> None:
        tries.append(_attempt())
        sqlite_kit.session().add(sqlite_kit.Item(name="a"))
        on_commit(hook)

    with sqlite_kit.app.app_context(), pytest.raises(Exception, match="locked"):
        sqlite_kit.safe.run(work, retry=QUICK)
    assert (tries, sqlite_kit.names()) == ([1], ["a"])


def test_an_error_that_commits_is_not_tried_again(sqlite_kit: Kit) -> None:
    """``commit_on`` has stored the work before the error goes on."""
    tries = []

    @transactional(retry=QUICK, commit_on=type(locked()))
    def work() -> None:
        tries.append(_attempt())
        sqlite_kit.session().add(sqlite_kit.Item(name="a"))
        raise locked()

    with sqlite_kit.app.app_context(), pytest.raises(Exception, match="locked"):
        work()
    assert (tries, sqlite_kit.names()) == ([1], ["a"])


def test_a_constraint_is_not_tried_again(kit: Kit) -> None:
    """It would break again."""
    tries = []

    def work() -> None:
        tries.append(_attempt())
        kit.session().add_all([kit.Item(name="a"), kit.Item(name="a")])

    with kit.app.app_context(), pytest.raises(IntegrityError) as caught:
        kit.safe.run(work, retry=QUICK)
    assert (tries, notes(caught.value)) == ([1], [])


def test_an_unknown_commit_is_not_tried_again(sqlite_kit: Kit) -> None:
    """Nobody knows whether the work is stored."""
    tries = []

    def work() -> None:
        tries.append(_attempt())
        raise CommitOutcomeUnknownError("The reply was lost.") from locked()

    with sqlite_kit.app.app_context(), pytest.raises(CommitOutcomeUnknownError):
        sqlite_kit.safe.run(work, retry=QUICK)
    assert tries == [1]


def test_exhaustion_raises_the_last_error_with_a_note_of_every_try(sqlite_kit: Kit) -> None:
    """It is the driver's error itself, with its traceback."""
    raised = [locked(), locked(), locked()]
    left = iter(raised)

    def work() -> None:
        raise next(left)

    with sqlite_kit.app.app_context(), pytest.raises(Exception, match="locked") as caught:
        sqlite_kit.safe.run(work, retry=QUICK)
    assert caught.value is raised[2]
    assert [note.partition(" failed")[0] for note in notes(caught.value)] == [
        "Try 1 of 3",
        "Try 2 of 3",
        "Try 3 of 3",
    ]
    assert caught.traceback[-1].name == "work"
    assert (
        "lock_timeout (SQLITE_BUSY): OperationalError: database is locked."
        in (notes(caught.value)[0])
    )


def test_nothing_of_a_failed_unit_is_kept_alive(sqlite_kit: Kit) -> None:
    """The frames of an error that was handled are gone without the collector, and with them what they held."""
    held: list[weakref.ref[object]] = []

    class Local:
        pass

    def work() -> None:
        local = Local()
        held.append(weakref.ref(local))
        raise locked()

    gc.disable()
    try:
        with sqlite_kit.app.app_context(), suppress(type(locked())):
            sqlite_kit.safe.run(work, retry=QUICK)
        assert [each() for each in held] == [None, None, None]
    finally:
        gc.enable()


def test_another_error_on_the_way_has_the_notes_too(sqlite_kit: Kit) -> None:
    """What comes after a conflict may be its consequence."""

    def work() -> None:
        if _attempt() == 1:
            raise locked()
        raise ValueError("gone")

    with sqlite_kit.app.app_context(), pytest.raises(ValueError, match="gone") as caught:
        sqlite_kit.safe.run(work, retry=QUICK)
    first, second = notes(caught.value)
    assert first.startswith("Try 1 of 3 failed")
    assert second.startswith("Try 2 of 3 failed")
    assert second.endswith("after the start: ValueError: gone.")


def test_the_time_is_finite(sqlite_kit: Kit) -> None:
    """No try begins after ``max_elapsed``."""
    tries = []

    def work() -> None:
        tries.append(_attempt())
        raise locked()

    policy = RetryPolicy(attempts=10_000, base_delay=0.02, max_delay=0.02, max_elapsed=0.1)
    with sqlite_kit.app.app_context(), pytest.raises(Exception, match="locked"):
        sqlite_kit.safe.run(work, retry=policy)
    assert 2 < len(tries) < 10_000


def test_the_wait_has_full_jitter(sqlite_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anywhere between nothing and a limit that doubles up to ``max_delay``."""
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)

    def work() -> None:
        raise locked()

    policy = RetryPolicy(attempts=7, base_delay=0.1, max_delay=1.0, max_elapsed=100)
    limits = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    for _ in range(50):
        with sqlite_kit.app.app_context(), pytest.raises(Exception, match="locked"):
            sqlite_kit.safe.run(work, retry=policy)
    shares = [wait / limits[at % 6] for at, wait in enumerate(waits)]
    assert len(shares) == 300
    assert 0 <= min(shares) < 0.1
    assert 0.9 < max(shares) <= 1


def test_inside_a_scope_there_is_one_try(kit: Kit) -> None:
    """The outer scope is rolled back, and it alone may be tried again."""
    inner_tries, outer_tries = [], []

    @transactional(retry=QUICK)
    def inner() -> None:
        inner_tries.append(_attempt())
        if _attempt() < 3:
            conflict(kit.session(), kit.database.dialect)
        kit.session().add(kit.Item(name="a"))

    def outer() -> None:
        outer_tries.append(_attempt())
        inner()

    with kit.app.app_context():
        kit.safe.run(outer, retry=QUICK)
        inner_tries.clear()
        with pytest.raises(Exception, match=r"conflict|locked|1213"):
            kit.safe.run(inner)
    assert (outer_tries, inner_tries, kit.names()) == ([1, 2, 3], [1], ["a"])


@pytest.mark.parametrize("propagation", ["requires_new", "nested"])
def test_no_part_of_a_scope_is_tried_again(kit: Kit, propagation: str) -> None:
    """Neither a savepoint nor a transaction of its own, during whose wait the outer one would hold its connection."""
    tries = []

    @transactional(propagation=propagation, retry=QUICK)
    def part() -> None:
        tries.append(1)
        raise locked()

    with kit.app.app_context(), session_manager():
        with pytest.raises(Exception, match="locked"):
            part()
    assert tries == [1]


def test_nor_where_a_scope_is_suspended(kit: Kit) -> None:
    """Its transaction is open, though there is no scope to join."""
    tries = []

    @transactional(retry=QUICK)
    def part() -> None:
        tries.append(1)
        raise locked()

    with kit.app.app_context(), session_manager():
        with session_manager(propagation="not_supported"), pytest.raises(Exception, match="locked"):
            part()
    assert tries == [1]


@pytest.mark.parametrize("flavour", ["flask-sqlalchemy", "lite", "scoped_session"])
def test_pending_changes_are_refused_at_the_first_try(make_kit: MakeKit, flavour: Flavour) -> None:
    """A second try would come without them."""
    kit, tries = make_kit(flavour=flavour), list[int]()
    with kit.app.app_context():
        kit.session().add(kit.Item(name="before"))
        with pytest.raises(TransactionActiveError, match=r"nobody committed: 1 new object"):
            kit.safe.run(tries.append, 1, retry=QUICK)
        kit.session().rollback()
    assert tries == []


@pytest.mark.parametrize("begin", ["begin", "begin_nested"])
def test_a_transaction_by_hand_is_refused(sqlite_kit: Kit, begin: str) -> None:
    """It would have to be tried again as a whole."""
    with sqlite_kit.app.app_context():
        with getattr(sqlite_kit.session(), begin)():
            with pytest.raises(TransactionActiveError, match="a transaction that is still open"):
                sqlite_kit.safe.run(_attempt, retry=QUICK)


def test_an_idle_read_before_is_given_back(kit: Kit) -> None:
    """A request that has loaded its user goes on in a transaction that begins with the first try."""
    with kit.app.app_context():
        kit.session().execute(select(kit.Item)).all()
        assert kit.safe.run(kit.checkedout, retry=QUICK) == 0


def test_a_second_session_of_the_context_is_rolled_back_too(make_kit: MakeKit) -> None:
    """No connection of the context is held, whichever session has it."""
    kit, second = make_kit(), make_kit(flavour="scoped_session", safe=False)
    kit.safe.include(second.db)
    seen = []

    def work() -> None:
        second.db.add(second.Item(name=f"try {_attempt()}"))
        second.db.flush()
        seen.append(len(second.db.identity_map))
        if _attempt() < 2:
            raise locked()
        second.db.commit()

    with kit.app.app_context():
        kit.safe.run(work, retry=QUICK)
        second.db.remove()
    assert second.names() == ["try 2"]
    assert second.checkedout() == 0


@pytest.mark.parametrize("database", [*_SERVERS])
@pytest.mark.parametrize("goes_on", [False, True])
def test_a_swallowed_conflict_is_tried_again(
    make_kit: MakeKit, database: str, goes_on: bool
) -> None:
    """The first error of a transaction counts, whatever the block did after it."""
    kit, tries = make_kit(database), list[int]()

    def work() -> None:
        tries.append(_attempt())
        if _attempt() < 3:
            with suppress(DBAPIError):
                conflict(kit.session(), kit.database.dialect)
            if goes_on:
                kit.session().execute(select(kit.Item))

    with kit.app.app_context():
        kit.safe.run(work, retry=QUICK)
    assert tries == [1, 2, 3]


def test_a_job_is_tried_again(sqlite_kit: Kit) -> None:
    """In its own context, like a request; inside a transaction of the job it runs once."""

    @transactional(retry=QUICK)
    def work() -> int:
        if _attempt() < 3:
            raise locked()
        return _attempt()

    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        assert executor.submit(work).result(timeout=10) == 3
    with AppContextManager(sqlite_kit.app, transactional=True).executor(1) as executor:
        with pytest.raises(type(locked())):
            executor.submit(work).result(timeout=10)


def test_scope_options_hold_in_each_try(kit: Kit) -> None:
    """A level and a name are those of every try."""
    seen = []

    def work() -> None:
        scope = current_scope()
        assert scope is not None
        seen.append((scope.name, scope.depth, scope.options.isolation_level))
        if scope.attempt < 2:
            raise locked()

    with kit.app.app_context():
        kit.safe.run(work, retry=QUICK, isolation_level="SERIALIZABLE", name="transfer")
    assert seen == [("transfer", 1, "SERIALIZABLE")] * 2


def test_tenacity_is_not_imported_without_need() -> None:
    """An app that tries nothing again does not pay for it."""
    program = "import flask_safesession, sys; sys.exit('tenacity' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_tenacity_is_there_before_the_first_failure() -> None:
    """An import that is cut off while a failure is handled would leave half a module, and no other try would begin."""
    program = "import flask_safesession as f, sys; f.RetryPolicy(); sys.exit('tenacity' not in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
