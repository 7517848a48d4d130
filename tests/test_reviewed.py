"""What a review of the whole package found: each defect is kept out by a test of its own."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import flask_sqlalchemy
import pytest
from flask import Flask, Response, current_app, jsonify
from flask.views import MethodView
from sqlalchemy import Connection, Engine, event, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, SessionTransaction, sessionmaker

from flask_safesession import (
    AppContextManager,
    SafeSession,
    add_all_or_abort,
    current_scope,
    on_commit,
    on_rollback,
    requires_transaction,
    session_manager,
    transactional,
)
from flask_safesession._core.dialects import wire_dialect
from flask_safesession.errors import (
    IsolationMismatchError,
    NoAppError,
    NoTransactionError,
    PoolStarvationError,
    StaleContextError,
    StaleContextWarning,
    TransactionActiveError,
    TransactionOwnershipError,
    UncommittedChangesWarning,
    UnexpectedRollbackError,
)

from .databases import Database
from .flasks import shares_contexts
from .kit import Kit, MakeKit

POSTGRESQL = ("postgresql-psycopg", "postgresql-psycopg2")
SERVERS = (*POSTGRESQL, "mariadb-pymysql")
TERMINATE = text("SELECT pg_terminate_backend(pg_backend_pid())")


class ListenerError(Exception):
    """What the listener of a user raises."""


@pytest.fixture(params=POSTGRESQL)
def postgresql_kit(request: pytest.FixtureRequest, make_kit: MakeKit) -> Kit:
    """PostgreSQL through each of its drivers."""
    return make_kit(request.param)


def _notes(error: BaseException) -> list[str]:
    notes: list[str] = getattr(error, "__notes__", [])
    return notes


# --- one object of session_manager() ------------------------------------------------------------------------------


def test_one_scope_object_is_not_entered_twice(sqlite_kit: Kit) -> None:
    """The second ``with`` of the same object would leave the frame of the first."""
    manager = session_manager()
    with sqlite_kit.app.app_context():
        with manager as session:
            session.add(sqlite_kit.Item(name="kept"))
            with pytest.raises(TransactionActiveError, match=r"'session_manager\(\)'"), manager:
                pass
    assert sqlite_kit.names() == ["kept"]


def test_one_scope_object_is_not_entered_by_two_threads(sqlite_kit: Kit) -> None:
    """The other thread would leave a scope that is not its own."""
    manager = session_manager()

    def enter() -> None:
        with sqlite_kit.app.app_context(), manager:
            pass

    with ThreadPoolExecutor(1) as threads, sqlite_kit.app.app_context(), manager as session:
        session.add(sqlite_kit.Item(name="kept"))
        error = threads.submit(enter).exception(timeout=10)
    assert isinstance(error, TransactionActiveError)
    assert "'session_manager()'" in str(error)
    assert sqlite_kit.names() == ["kept"]


def test_one_scope_object_is_used_one_after_the_other(sqlite_kit: Kit) -> None:
    """A block that failed and an entry that was refused leave it free, too."""
    manager = session_manager()
    with pytest.raises(NoAppError), manager:
        pass
    with sqlite_kit.app.app_context():
        with pytest.raises(ValueError, match="mine"), manager:
            raise ValueError("mine")
        for name in ("a", "b"):
            with manager as session:
                session.add(sqlite_kit.Item(name=name))
    assert sqlite_kit.names() == ["a", "b"]


# --- what was added before the scope ------------------------------------------------------------------------------


def test_hooks_run_once_after_an_adopted_scope(kit: Kit) -> None:
    """The transaction that ``add()`` began is ended by the scope, and its hooks by nobody else."""
    ran: list[str] = []
    with kit.app.app_context():
        kit.db.session.add(kit.Item(name="before"))
        with session_manager():
            on_commit(ran.append, "commit")
        assert ran == ["commit"]
    assert (ran, kit.names()) == (["commit"], ["before"])


def test_hooks_run_once_after_a_commit_by_hand_of_pending_changes(kit: Kit) -> None:
    """The same without a scope."""
    ran: list[str] = []
    with kit.app.app_context():
        kit.db.session.add(kit.Item(name="before"))
        on_commit(ran.append, "commit")
        kit.db.session.commit()
        kit.db.session.commit()
    assert (ran, kit.names()) == (["commit"], ["before"])


@pytest.mark.parametrize("call", ["commit", "rollback", "close"])
def test_the_transaction_of_an_adopted_scope_is_guarded(sqlite_kit: Kit, call: str) -> None:
    """It was begun before there was an owner to ask."""
    with sqlite_kit.app.app_context():
        sqlite_kit.db.session.add(sqlite_kit.Item(name="before"))
        with session_manager() as session:
            with pytest.raises(TransactionOwnershipError, match=rf"'{call}\(\)'"):
                getattr(session.get_transaction(), call)()
    assert sqlite_kit.names() == ["before"]


# --- lost connections ---------------------------------------------------------------------------------------------


def _kill(session: Session, model: Any) -> None:
    with pytest.raises(OperationalError):
        session.execute(TERMINATE, bind_arguments={"mapper": model})


def _invalidate(session: Session, model: Any) -> None:
    session.connection(bind_arguments={"mapper": model}).invalidate()


@pytest.mark.parametrize("lose", [_kill, _invalidate])
@pytest.mark.parametrize("model", ["Item", "Other"])
@pytest.mark.parametrize("database_name", POSTGRESQL)
def test_one_lost_connection_of_two_stores_on_neither(
    make_kit: MakeKit, database_name: str, model: str, lose: Callable[[Session, Any], None]
) -> None:
    """The database that is left would have committed its part alone, in silence."""
    kit, ran = make_kit(database_name, binds=True), list[str]()
    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match=r"connection .*lost"):
            with session_manager() as session:
                scope = current_scope()
                on_commit(ran.append, "commit")
                on_rollback(ran.append, "rollback")
                session.add_all([kit.Item(name="a"), kit.Other(name="a")])
                session.flush()
                lose(session, getattr(kit, model))
        assert scope is not None
        assert (scope.outcome, ran, kit.checkedout()) == ("rolled_back", ["rollback"], 0)
    assert (kit.names(), kit.other_names()) == ([], [])


def test_a_lost_connection_is_called_lost(postgresql_kit: Kit) -> None:
    """The message looked for a failed flush that never was."""
    kit = postgresql_kit
    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match=r"connection .*lost") as caught:
            with session_manager() as session:
                session.add(kit.Item(name="lost"))
                session.flush()
                _kill(session, kit.Item)
        assert "flush" not in str(caught.value)
    assert (kit.names(), kit.checkedout()) == ([], 0)


# --- the wrapper of do_commit -------------------------------------------------------------------------------------


def test_a_dialect_is_wired_once(sqlite_kit: Kit) -> None:
    """A second wrapper would call the first one and never the driver."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="a"))
    dialect = sqlite_kit.engine.dialect
    before = dict(vars(dialect))
    wire_dialect(dialect)
    assert dict(vars(dialect)) == before


def test_a_dialect_that_two_threads_wire_is_wired_once(sqlite_kit: Kit) -> None:
    """The loser of the race has seen no mark, and finds the work done when it gets the lock."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="a"))
    dialect = sqlite_kit.engine.dialect
    mark = vars(dialect).pop("_safesession_wired")
    before = dict(vars(dialect))
    wire_dialect(dialect)
    assert {"_safesession_wired": mark, **vars(dialect)} == {"_safesession_wired": mark, **before}


def _trace(engine: Engine, calls: list[str]) -> None:
    """Do as a tracing tool does: put a plain function around what is there."""
    dialect: Any = engine.dialect
    previous = dialect.do_commit

    def do_commit(connection: Any) -> None:
        calls.append("commit")
        previous(connection)

    dialect.do_commit = do_commit


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_tool_may_replace_do_commit(kit: Kit, late: bool) -> None:
    """What the package needs of it does not hang on the function that is replaced."""
    calls: list[str] = []
    with kit.app.app_context():
        if late:
            with session_manager() as session:
                session.add(kit.Item(name="first"))
        _trace(kit.engine, calls)
        wire_dialect(kit.engine.dialect)
        with session_manager() as session:
            session.add(kit.Item(name="scope"))
        kit.db.session.add(kit.Item(name="by hand"))
        kit.db.session.commit()
    assert kit.names() == ["by hand", *(["first"] if late else []), "scope"]
    assert calls == ["commit", "commit"]


def test_a_listener_that_fails_after_the_commit_changes_no_outcome(kit: Kit) -> None:
    """The row is stored, so the hooks are those of a commit, and no rollback has failed."""
    ran: list[str] = []

    def after_commit(_: Session) -> None:
        raise ListenerError

    with kit.app.app_context():
        event.listen(kit.db.session, "after_commit", after_commit)
        with pytest.raises(ListenerError) as caught, session_manager() as session:
            scope = current_scope()
            session.add(kit.Item(name="stored"))
            on_commit(ran.append, "commit")
            on_rollback(ran.append, "rollback")
        assert scope is not None
        assert (scope.outcome, ran, kit.checkedout()) == ("committed", ["commit"], 0)
    assert not any("rollback" in note for note in _notes(caught.value))
    assert kit.names() == ["stored"]


# --- a session that outlives its context --------------------------------------------------------------------------


@pytest.fixture
def thread_kit(make_kit: MakeKit, kits: list[Kit]) -> Kit:
    """Flask-SQLAlchemy whose sessions belong to the thread, by the user's own ``scopefunc``."""

    class Base(DeclarativeBase):
        pass

    stock = make_kit(safe=False)
    by_thread = {"scopefunc": threading.get_ident}
    db: Any = flask_sqlalchemy.SQLAlchemy(model_class=Base, session_options=by_thread)
    app = Flask("by_thread")
    app.config.update(TESTING=True, SQLALCHEMY_DATABASE_URI=stock.database.url)
    db.init_app(app)
    extension = SafeSession(app, uncommitted="off")
    with app.app_context():
        engines = (db.engine,)
    kit = Kit(app, stock.database, "flask-sqlalchemy", db, stock.models, engines, extension)
    kits.append(kit)
    return kit


@pytest.mark.parametrize("sent", [False, True], ids=["pending", "flushed"])
def test_a_scope_left_open_ends_with_its_context(thread_kit: Kit, sent: bool) -> None:
    """The session of a thread lives on, and would store the rows with the next commit."""
    kit = thread_kit
    with kit.app.app_context():
        left_open = session_manager()
        session = left_open.__enter__()
        session.add(kit.Item(name="left open"))
        if sent:
            session.flush()
    assert kit.checkedout() == 0
    with kit.app.app_context():
        assert current_scope() is None
        with session_manager() as session:
            session.add(kit.Item(name="next"))
        kit.db.session.add(kit.Item(name="by hand"))
        kit.db.session.commit()
    assert (kit.names(), kit.checkedout()) == (["by hand", "next"], 0)


def _from_block(kit: Kit, propagation: str) -> Session:
    with session_manager(), session_manager(propagation=propagation) as inner:
        inner.execute(select(kit.Item.name)).all()
    return inner


@pytest.mark.parametrize("propagation", ["requires_new", "not_supported"])
def test_a_session_kept_from_a_block_is_refused(any_kit: Kit, propagation: str) -> None:
    """Nobody would commit or close what it does."""
    with any_kit.app.app_context():
        kept = _from_block(any_kit, propagation)
        with pytest.raises(StaleContextError):
            kept.execute(select(any_kit.Item.name))
        with pytest.raises(StaleContextError):
            kept.scalars(select(any_kit.Item.name))
        assert any_kit.checkedout() == 0


def _from_context(kit: Kit) -> Session:
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="a"))
    return session


def test_a_session_kept_from_a_context_warns(make_kit: MakeKit) -> None:
    """The mode "warn" points at the line and lets the statement go on."""
    kit = make_kit(flavour="scoped_session", config={"SAFESESSION_STALE_CONTEXT": "warn"})
    kept = _from_context(kit)
    with pytest.warns(StaleContextWarning, match="whose context or block has ended") as record:
        assert kept.scalars(select(kit.Item.name)).all() == ["a"]
    kept.close()
    assert (record[0].filename, kit.checkedout()) == (__file__, 0)


def test_a_session_kept_from_a_context_is_refused(any_kit: Kit) -> None:
    """Whichever way the app has its sessions; also inside another context."""
    kept = _from_context(any_kit)
    with pytest.raises(StaleContextError):
        kept.execute(select(any_kit.Item.name))
    with any_kit.app.app_context():
        with pytest.raises(StaleContextError):
            kept.scalars(select(any_kit.Item.name))
        with session_manager() as session:
            assert session.scalars(select(any_kit.Item.name)).all() == ["a"]
    assert any_kit.checkedout() == 0


def test_a_session_kept_from_a_context_works_where_the_setting_is_off(make_kit: MakeKit) -> None:
    """The setting is about contexts, and old code may rely on it."""
    kit = make_kit(config={"SAFESESSION_STALE_CONTEXT": "off"})
    kept = _from_context(kit)
    with kit.app.app_context():
        assert kept.scalars(select(kit.Item.name)).all() == ["a"]
        kept.close()
    assert kit.checkedout() == 0


# --- lent connections ---------------------------------------------------------------------------------------------


@contextmanager
def _lent(kit: Kit, mode: Any) -> Iterator[tuple[Connection, sessionmaker[Session]]]:
    """A connection that a test kit lends to all sessions of the app, and rolls back."""
    with kit.engine.connect() as connection, connection.begin() as outer:
        factory = sessionmaker(connection, join_transaction_mode=mode)
        SafeSession(kit.app, factory)
        yield connection, factory
        outer.rollback()


@pytest.mark.parametrize("mode", ["create_savepoint", "rollback_only"])
def test_a_lent_connection_keeps_its_own_settings(make_kit: MakeKit, mode: str) -> None:
    """The lender would not be able to write after a read-only scope."""
    kit = make_kit(flavour="sessionmaker", safe=False)
    pragmas = ("query_only", "busy_timeout")

    def read(connection: Connection) -> list[Any]:
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]

    with _lent(kit, mode) as (connection, _):
        before = read(connection)
        with kit.app.app_context(), session_manager(read_only=True, timeout=7) as session:
            session.execute(select(kit.Item.name)).all()
            assert read(connection) == [1, 7000]
        assert read(connection) == before


def test_two_sessions_share_a_lent_connection(make_kit: MakeKit, database: Database) -> None:
    """Each has its own savepoint there, and the end of one takes nothing from the other."""
    kit = make_kit(database, "sessionmaker", safe=False)
    with _lent(kit, "create_savepoint") as (connection, factory):
        with kit.app.app_context(), session_manager() as session:
            session.add(kit.Item(name="first"))
            session.flush()
            with factory() as second:
                second.add(kit.Item(name="second"))
                second.commit()
            session.add(kit.Item(name="third"))
        stored = connection.scalars(select(kit.Item.name)).all()
        assert sorted(stored) == ["first", "second", "third"]
    assert kit.names() == []


def test_two_sessions_leave_a_lent_connection_in_any_order(make_kit: MakeKit) -> None:
    """The one that came first takes nothing from the one that still works there."""
    kit, ran = make_kit(flavour="sessionmaker", safe=False), list[str]()
    with _lent(kit, "rollback_only") as (connection, factory), kit.app.app_context():
        first = factory()
        first.add(kit.Item(name="first"))
        first.flush()
        with session_manager() as session:
            on_commit(ran.append, "commit")
            session.add(kit.Item(name="scope"))
            session.flush()
            first.commit()
            first.close()
            session.add(kit.Item(name="later"))
        stored = connection.scalars(select(kit.Item.name)).all()
        assert (sorted(stored), ran) == (["first", "later", "scope"], ["commit"])
    assert kit.names() == []


def test_a_scope_of_its_own_on_a_lent_connection(make_kit: MakeKit, database: Database) -> None:
    """It works on the one connection or says that there is no second, and the outer scope goes on."""
    kit = make_kit(database, "sessionmaker", safe=False)
    with _lent(kit, "create_savepoint") as (connection, _), kit.app.app_context():
        with session_manager() as session:
            session.add(kit.Item(name="outer"))
            session.flush()
            with suppress(PoolStarvationError):
                with session_manager(propagation="requires_new") as inner:
                    inner.add(kit.Item(name="inner"))
        assert "outer" in connection.scalars(select(kit.Item.name)).all()
    assert kit.names() == []


def _max_statement_time(engine: Engine) -> Any:
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT @@SESSION.max_statement_time").scalar()


def test_two_phases_leave_the_timeout_as_it_was(make_kit: MakeKit) -> None:
    """PREPARE comes before the place where a plain COMMIT would set it back."""
    kit = make_kit("mariadb-pymysql", binds=True, options={"twophase": True})
    before = [_max_statement_time(each) for each in kit.engines]
    with kit.app.app_context(), session_manager(timeout=7) as session:
        session.add_all([kit.Item(name="a"), kit.Other(name="a")])
    assert (kit.names(), kit.other_names()) == (["a"], ["a"])
    assert [_max_statement_time(each) for each in kit.engines] == before


def test_two_phases_by_hand_store_on_both(make_kit: MakeKit) -> None:
    """There is no scope, and nothing to set back."""
    kit = make_kit("mariadb-pymysql", binds=True, options={"twophase": True})
    with kit.app.app_context():
        kit.db.session.add_all([kit.Item(name="a"), kit.Other(name="a")])
        kit.db.session.commit()
    assert (kit.names(), kit.other_names()) == (["a"], ["a"])


# --- hooks that open something ------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_context", [True, False], ids=["context", "same context"])
@pytest.mark.parametrize("stored", [True, False], ids=["commit", "rollback"])
def test_a_hook_with_a_transaction_by_hand(
    sqlite_kit: Kit, own_context: bool, stored: bool
) -> None:
    """What it registers there waits for that transaction, not for the one that is over."""
    kit, ran = sqlite_kit, list[str]()

    def hook() -> None:
        with ExitStack() as stack:
            if own_context:
                stack.enter_context(kit.app.app_context())
            kit.db.session.add(kit.Item(name="of the hook"))
            on_commit(ran.append, "inner")
            (kit.db.session.commit if stored else kit.db.session.rollback)()

    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="a"))
        on_commit(hook)
    assert ran == (["inner"] if stored else [])
    assert kit.names() == (["a", "of the hook"] if stored else ["a"])


def test_a_hook_registers_nothing_in_a_context_without_a_transaction(sqlite_kit: Kit) -> None:
    """The transaction of the hook belongs to another context."""

    def hook() -> None:
        with sqlite_kit.app.app_context():
            on_commit(print, "never")

    with sqlite_kit.app.app_context():
        with pytest.raises(NoTransactionError, match="'print' was registered"):
            with session_manager():
                on_commit(hook)


def test_a_hook_registers_another_in_its_own_context(sqlite_kit: Kit) -> None:
    """Both run, in their order."""
    ran: list[str] = []

    def hook() -> None:
        ran.append("first")
        on_commit(ran.append, "last")

    with sqlite_kit.app.app_context(), session_manager():
        on_commit(hook)
        on_commit(ran.append, "second")
    assert ran == ["first", "second", "last"]


def test_hooks_that_an_interrupt_cut_off_are_logged(
    sqlite_kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody waits for what they would have done."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    def mail_the_boss() -> None:
        raise AssertionError

    def tell_the_team() -> None:
        raise AssertionError

    with caplog.at_level(logging.ERROR, "flask_safesession"), sqlite_kit.app.app_context():
        with pytest.raises(KeyboardInterrupt), session_manager():
            for hook in (interrupted, mail_the_boss, tell_the_team):
                on_commit(hook)
    assert "mail_the_boss" in caplog.text
    assert "tell_the_team" in caplog.text


def test_an_interrupt_of_the_last_hook_cuts_off_nothing(
    sqlite_kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    """Hooks that wait for another outcome would not have run anyway."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    def never() -> None:
        raise AssertionError

    with sqlite_kit.app.app_context(), pytest.raises(KeyboardInterrupt), session_manager():
        on_commit(interrupted)
        on_rollback(never)
    assert "never" not in caplog.text


# --- what leaves a block ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["warn", "raise"])
def test_a_failing_block_without_a_scope_reports_nothing_else(make_kit: MakeKit, mode: str) -> None:
    """Its own exception says why its changes are not stored."""
    kit = make_kit(options={"uncommitted": mode})
    with kit.app.app_context(), session_manager():
        with pytest.raises(ValueError, match="mine") as caught:
            with session_manager(propagation="not_supported") as session:
                session.add(kit.Item(name="lost"))
                raise ValueError("mine")
    assert _notes(caught.value) == []
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_a_transaction_ended_underneath_is_a_note_of_the_exception(kit: Kit) -> None:
    """The rollback came too late for what somebody else has committed."""
    with kit.app.app_context():
        with pytest.raises(ValueError, match="mine") as caught, session_manager() as session:
            session.add(kit.Item(name="stored by somebody else"))
            session.flush()
            transaction = session.connection().get_transaction()
            assert transaction is not None
            transaction.commit()
            raise ValueError("mine")
        assert kit.checkedout() == 0
    assert any("ended by somebody else" in note for note in _notes(caught.value))


@pytest.mark.parametrize("let_out", [False, True], ids=["inside", "outside"])
def test_a_joined_timeout_on_a_failed_transaction_is_unexpected(
    postgresql_kit: Kit, let_out: bool
) -> None:
    """Setting the timeout back fails in a failed transaction, which hid why it had failed."""
    kit = postgresql_kit

    def fail(session: Session) -> None:
        session.execute(text("SELECT 1 / 0"))

    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError), session_manager() as session:
            session.add(kit.Item(name="lost"))
            if let_out:
                with pytest.raises(DBAPIError), session_manager(timeout=5) as inner:
                    fail(inner)
            else:
                with session_manager(timeout=5) as inner, pytest.raises(DBAPIError):
                    fail(inner)
    assert (kit.names(), kit.checkedout()) == ([], 0)


# --- sessions and engines of users --------------------------------------------------------------------------------


@pytest.mark.parametrize("database_name", SERVERS)
def test_an_autocommit_engine_is_refused(make_kit: MakeKit, database_name: str) -> None:
    """A rollback of the scope would undo nothing."""
    kit = make_kit(database_name, engine_options={"isolation_level": "AUTOCOMMIT"})
    with kit.app.app_context():
        with pytest.raises(IsolationMismatchError, match="AUTOCOMMIT"):
            with session_manager() as session:
                session.add(kit.Item(name="at once"))
                session.flush()
        assert (kit.names(), kit.checkedout()) == ([], 0)


def _save_objects(kit: Kit) -> None:
    kit.db.session.bulk_save_objects([kit.Item(name="new")])


def _insert_mappings(kit: Kit) -> None:
    kit.db.session.bulk_insert_mappings(kit.Item, [{"name": "new"}])


def _update_mappings(kit: Kit) -> None:
    key = kit.db.session.scalar(select(kit.Item.id))
    kit.db.session.bulk_update_mappings(kit.Item, [{"id": key, "amount": 7}])


@pytest.mark.parametrize("change", [_save_objects, _insert_mappings, _update_mappings])
def test_uncommitted_bulk_operations_are_reported(
    sqlite_kit: Kit, change: Callable[[Kit], None]
) -> None:
    """They write at once, and no object in the session tells of it."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="a"))
    with pytest.warns(UncommittedChangesWarning) as record, sqlite_kit.app.app_context():
        change(sqlite_kit)
    lines = [line for _, _, line in change.__code__.co_lines()]
    assert record[0].filename == __file__
    assert record[0].lineno == max(filter(None, lines))
    assert sqlite_kit.names() == ["a"]


@pytest.mark.parametrize("change", [_save_objects, _insert_mappings, _update_mappings])
def test_bulk_operations_inside_a_scope_are_stored(
    sqlite_kit: Kit, change: Callable[[Kit], None]
) -> None:
    """The scope commits them, so there is nothing to report."""
    with sqlite_kit.app.app_context():
        with session_manager() as session:
            session.add(sqlite_kit.Item(name="a"))
        with session_manager():
            change(sqlite_kit)
    assert sqlite_kit.names() == (["a"] if change is _update_mappings else ["a", "new"])


class EagerSession(Session):
    """A user's session that is always in a transaction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begin()


def test_a_session_may_begin_when_it_is_made(make_kit: MakeKit) -> None:
    """It asked the ledger before there was one."""
    kit = make_kit(flavour="sessionmaker", safe=False)
    factory = sessionmaker(kit.engine, class_=EagerSession)
    SafeSession(kit.app, factory)
    with kit.app.app_context():
        with session_manager() as session:
            assert isinstance(session, EagerSession)
            session.add(kit.Item(name="scope"))
        with factory() as by_hand:
            by_hand.add(kit.Item(name="by hand"))
            by_hand.commit()
    assert (kit.names(), kit.checkedout()) == (["by hand", "scope"], 0)


@pytest.mark.parametrize("database_name", POSTGRESQL)
def test_a_listener_may_send_a_statement_when_a_transaction_begins(
    make_kit: MakeKit, database_name: str
) -> None:
    """PostgreSQL takes an isolation level before the first statement only."""
    kit = make_kit(database_name, "sessionmaker", safe=False)

    def after_begin(_: Session, __: Any, connection: Connection) -> None:
        connection.execute(text("SELECT 1"))

    event.listen(kit.db, "after_begin", after_begin)
    SafeSession(kit.app, kit.db)
    with kit.app.app_context():
        with session_manager(isolation_level="SERIALIZABLE") as session:
            level = session.scalar(text("SHOW transaction_isolation"))
    assert level == "serializable"


# --- what is decorated --------------------------------------------------------------------------------------------


class GeneratorCall:
    def __call__(self) -> Iterator[int]:
        yield 1


class AsyncGeneratorCall:
    async def __call__(self) -> AsyncIterator[int]:
        yield 1


@pytest.mark.parametrize("decorate", [transactional, requires_transaction])
@pytest.mark.parametrize("kind", [GeneratorCall, AsyncGeneratorCall])
def test_an_object_whose_call_runs_later_is_refused(
    decorate: Callable[[Any], Any], kind: type[Any]
) -> None:
    """Its body would run after the transaction, as that of such a function would."""
    with pytest.raises(TypeError, match=rf"'@{decorate.__name__}' was put on .*{kind.__name__}"):
        decorate(kind())


def test_an_object_that_can_be_called_is_decorated(sqlite_kit: Kit) -> None:
    """One with a plain ``__call__`` works as ever."""

    class Store:
        def __call__(self, name: str) -> None:
            sqlite_kit.db.session.add(sqlite_kit.Item(name=name))

    with sqlite_kit.app.app_context():
        transactional(Store())("a")
    assert sqlite_kit.names() == ["a"]


def _serve(kit: Kit, value: Callable[[], Any]) -> None:
    @kit.app.route("/")
    @transactional
    def view() -> Any:
        kit.db.session.add(kit.Item(name="of the view"))
        return value()


NO_RESPONSES: list[Callable[[], Any]] = [
    lambda: None,
    lambda: {1},
    lambda: ("x", 200, {}, 4),
    lambda: {"a": object()},
    lambda: [object()],
    lambda: (None, 200),
]
each_of_no_responses = pytest.mark.parametrize(
    "value", NO_RESPONSES, ids=["None", "set", "4-tuple", "dict", "list", "None in tuple"]
)


@each_of_no_responses
def test_a_view_that_returns_no_response_stores_nothing(
    sqlite_kit: Kit, value: Callable[[], Any]
) -> None:
    """The client gets a 500, and would send the request again."""
    _serve(sqlite_kit, value)
    sqlite_kit.app.testing = False
    sqlite_kit.app.logger.disabled = True
    assert sqlite_kit.client.get("/").status_code == 500
    assert (sqlite_kit.names(), sqlite_kit.checkedout()) == ([], 0)


@each_of_no_responses
def test_the_error_of_a_view_that_returns_no_response_is_flasks(
    sqlite_kit: Kit, value: Callable[[], Any]
) -> None:
    """A test sees Flask's own sentence."""
    _serve(sqlite_kit, value)
    with pytest.raises(TypeError, match=r"valid response|not JSON serializable|response tuple"):
        sqlite_kit.client.get("/")
    assert sqlite_kit.names() == []


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
    sqlite_kit: Kit, value: Callable[[], Any], status: int, body: bytes
) -> None:
    """Everything that Flask takes for one passes unchanged."""
    _serve(sqlite_kit, value)
    response = sqlite_kit.client.get("/")
    assert (response.status_code, response.data.replace(b" ", b"")) == (status, body)
    assert sqlite_kit.names() == ["of the view"]


def test_a_decorator_around_may_make_the_response(sqlite_kit: Kit) -> None:
    """What the transactional layer returns is then no response yet, and need not be one."""

    @transactional
    def inner() -> set[str]:
        sqlite_kit.db.session.add(sqlite_kit.Item(name="a"))
        return {"x"}

    @functools.wraps(inner)
    def outer() -> str:
        return inner().pop()

    sqlite_kit.app.add_url_rule("/", view_func=outer)
    assert sqlite_kit.client.get("/").data == b"x"
    assert sqlite_kit.names() == ["a"]


@pytest.mark.parametrize(("status", "names"), [(404, []), (200, ["a"])])
def test_the_status_of_an_inherited_method_counts(
    sqlite_kit: Kit, status: int, names: list[str]
) -> None:
    """The decorated method is a part of the view although another one answers."""

    class Parent(MethodView):
        @transactional
        def get(self) -> tuple[str, int]:
            sqlite_kit.db.session.add(sqlite_kit.Item(name="a"))
            return "x", status

    class Child(Parent):
        def get(self) -> tuple[str, int]:
            return super().get()

    sqlite_kit.app.add_url_rule("/", view_func=Child.as_view("child"))
    assert sqlite_kit.client.get("/").status_code == status
    assert sqlite_kit.names() == names


# --- AppContextManager --------------------------------------------------------------------------------------------


def test_a_context_manager_takes_an_app_only() -> None:
    """A wrong argument is refused where it is given."""
    manager: Any = AppContextManager
    with pytest.raises(TypeError, match="'app' is 'x'"):
        manager("x")


def test_a_context_manager_resolves_current_app_at_once(sqlite_kit: Kit) -> None:
    """The thread that enters it has no current app."""
    with sqlite_kit.app.app_context():
        manager = AppContextManager(current_app)  # type: ignore[arg-type,unused-ignore]

    def work() -> Flask:
        with manager as context:
            return context.app

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(work).result(timeout=10) is sqlite_kit.app


def test_a_context_manager_of_no_current_app_is_refused_at_once() -> None:
    """The proxy stands for nothing there."""
    with pytest.raises(NoAppError, match="without an app"):
        AppContextManager(current_app)


# --- the other sides


def test_a_table_made_by_hand_is_left_to_the_driver(make_kit: MakeKit) -> None:
    """Outside of scopes SQLite's driver keeps its rule: what starts like no write is stored at once."""
    kit = make_kit()
    with kit.app.app_context():
        kit.db.session.execute(text("CREATE TABLE made_by_hand (id INTEGER)"))
        kit.db.session.rollback()
        assert kit.db.session.execute(text("SELECT * FROM made_by_hand")).all() == []
        kit.db.session.execute(text("DROP TABLE made_by_hand"))


def test_a_rollback_inside_a_begin_block_runs_its_hooks_once(sqlite_kit: Kit) -> None:
    """They wait for the end of ``with session.begin():``, where the session works again."""
    ran: list[str] = []
    with sqlite_kit.app.app_context():
        with sqlite_kit.db.session.begin():
            on_rollback(ran.append, "once")
            sqlite_kit.db.session.rollback()
            assert ran == []
        assert ran == ["once"]


def test_a_commit_past_every_guard_is_found_at_the_end(sqlite_kit: Kit) -> None:
    """SQLAlchemy's own method, on a transaction that nobody handed out."""
    with (
        sqlite_kit.app.app_context(),
        pytest.raises(TransactionOwnershipError, match="somebody else"),
    ):
        with session_manager() as session:
            session.add(sqlite_kit.Item(name="a"))
            SessionTransaction.commit(vars(session)["_transaction"])


def test_one_instance_where_a_list_is_wanted(sqlite_kit: Kit) -> None:
    """The message says that a list is wanted."""
    with sqlite_kit.app.app_context(), pytest.raises(TypeError, match="Give a list of instances"):
        add_all_or_abort(sqlite_kit.Item(name="a"))


def test_an_argument_that_transactional_does_not_know() -> None:
    """The message names those that it knows."""
    with pytest.raises(TypeError, match="was given 'nested', which it does not know"):
        transactional(nested=True)  # type: ignore[call-overload]


@pytest.mark.parametrize("answer", [("no", 404), ("no", "404 NOT FOUND"), (Response("no", 404),)])
def test_the_status_below_another_decorator(sqlite_kit: Kit, answer: Any) -> None:
    """The value is read as it is, because the decorator may make something else of it."""

    def around(fn: Any) -> Any:
        return functools.wraps(fn)(lambda: ("made", 200) if fn() else "")

    @sqlite_kit.app.get("/")
    @around
    @transactional
    def view() -> Any:
        sqlite_kit.db.session.add(sqlite_kit.Item(name="a"))
        return answer

    assert (sqlite_kit.client.get("/").status_code, sqlite_kit.names()) == (200, [])


@shares_contexts
def test_a_body_may_open_a_scope_on_the_session_that_its_view_used(sqlite_kit: Kit) -> None:
    """Around many requests there is one context, and its session streams on in a scope of its own."""
    kit = sqlite_kit

    def body(session: Session) -> Iterator[str]:
        with session_manager():
            yield str(len(session.scalars(select(kit.Item.name)).all()))

    kit.app.add_url_rule("/", "index", transactional(lambda: Response(body(kit.db.session()))))
    with kit.app.app_context():
        assert kit.client.get("/").text == "0"
