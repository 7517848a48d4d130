"""Where two parts of the core meet that each do well alone: what a second review of it found."""

from __future__ import annotations

import warnings
from threading import Event, Thread
from typing import Any, Final, cast

import pytest
from sqlalchemy import Engine, event, insert, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from flask_safesession import (
    RetryPolicy,
    SafeSession,
    current_scope,
    handoff,
    on_commit,
    on_rollback,
    on_unknown,
    session_manager,
    stream_with_session,
    transactional,
)
from flask_safesession.errors import (
    IsolationMismatchError,
    PartialCommitError,
    TransactionActiveError,
    TransactionOwnershipError,
    UncommittedChangesWarning,
    UnexpectedRollbackError,
)

from .databases import Database
from .kit import Kit, MakeKit

BROKEN: Final = text("SELECT * FROM nowhere")
SECONDS: Final = 10


@pytest.fixture
def ran() -> list[str]:
    """What the hooks of a test have noted."""
    return []


def _swallow(session: Any, statement: Any) -> None:
    with pytest.raises(DBAPIError):
        session.execute(statement)


# --- SQLite begins before each write ------------------------------------------------------------------------------

_INSERT = "WITH new AS (SELECT {} AS name) INSERT INTO item (name) SELECT name FROM new"
LATE: Final[dict[str, Any]] = {
    "many rows": lambda session: session.execute(
        text(_INSERT.format(":name")), [{"name": "a"}, {"name": "b"}]
    ),
    "no parameters": lambda session: session.connection().exec_driver_sql(
        _INSERT.format("'a'"), execution_options={"no_parameters": True}
    ),
    "a comment": lambda session: session.execute(text("/* app */ -- x\n" + _INSERT.format("'a'"))),
    "a savepoint": lambda session: [
        session.execute(text(each))
        for each in ("SAVEPOINT s", "INSERT INTO item (name) VALUES ('a')", "RELEASE s")
    ],
}


@pytest.mark.parametrize("write", LATE.values(), ids=LATE)
def test_a_write_that_the_driver_does_not_see_rolls_back(sqlite_kit: Kit, write: Any) -> None:
    """Python's driver sends no BEGIN before it, so that each row is stored at once, and RELEASE commits."""
    with sqlite_kit.app.app_context():
        with pytest.raises(KeyError), session_manager() as session:
            write(session)
            raise KeyError
    assert sqlite_kit.names() == []


@pytest.mark.parametrize(
    "sql", ["/* app='x' */ COMMIT", "-- the end\nCOMMIT", "/* a *//**/ COMMIT"]
)
def test_a_comment_hides_no_word_that_ends_the_transaction(kit: Kit, sql: str) -> None:
    """Tools that mark statements for a log put one before them, and what follows is stored past the scope."""
    with kit.app.app_context(), session_manager() as session:
        session.execute(insert(kit.Item).values(name="a"))
        with pytest.raises(TransactionOwnershipError, match="sent 'COMMIT'"):
            session.execute(text(sql))
        assert kit.names() == []


# --- what a scope could not have of its connection ----------------------------------------------------------------


@pytest.mark.parametrize("database_name", ["postgresql-psycopg2", "mariadb-pymysql"])
def test_a_refused_connection_that_is_swallowed_stores_nothing(
    make_kit: MakeKit, database_name: str
) -> None:
    """SQLAlchemy has the connection by then, and the next statement was stored at once, in spite of a rollback."""
    kit = make_kit(database_name, engine_options={"isolation_level": "AUTOCOMMIT"})
    add = insert(kit.Item).values(name="at once")
    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match=r"needs, with Isolation.*was swallowed"):
            with session_manager() as session:
                with pytest.raises(IsolationMismatchError):
                    session.execute(add)
                with pytest.raises(UnexpectedRollbackError, match="no more statements"):
                    session.execute(add)
        assert (kit.names(), kit.checkedout()) == ([], 0)


AUTOCOMMIT: Final = ("sqlite-file", "postgresql-psycopg2", "mariadb-pymysql")


@pytest.mark.parametrize("database_name", AUTOCOMMIT)
def test_a_scope_does_not_adopt_what_commits_by_itself(
    make_kit: MakeKit, database_name: str
) -> None:
    """A view that had read its user before was not told, and its rollback undid nothing."""
    kit = make_kit(database_name, engine_options={"isolation_level": "AUTOCOMMIT"})
    with kit.app.app_context():
        kit.db.session.execute(select(1))
        with pytest.raises(IsolationMismatchError, match="AUTOCOMMIT"), session_manager():
            kit.db.session.execute(insert(kit.Item).values(name="at once"))
    assert kit.names() == []


@pytest.mark.parametrize("asked", ["of the engine", "of the call"])
def test_sqlite_in_autocommit_is_refused_too(make_kit: MakeKit, asked: str) -> None:
    """Its driver does not tell that mode from a program that sends BEGIN by itself; SQLAlchemy was asked for it."""
    level = {"isolation_level": "AUTOCOMMIT"}
    kit = make_kit("sqlite-file", engine_options=level if asked == "of the engine" else {})
    with kit.app.app_context():
        with (
            pytest.raises(IsolationMismatchError, match="AUTOCOMMIT"),
            session_manager() as session,
        ):
            session.connection(execution_options=level)
    assert kit.names() == []


def test_sqlite_with_a_begin_by_hand_is_not_in_autocommit(make_kit: MakeKit) -> None:
    """A listener sends it, for transactions that begin with the first read."""
    kit = make_kit("sqlite-file", engine_options={"isolation_level": "AUTOCOMMIT"})
    event.listen(kit.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with kit.app.app_context():
        with pytest.raises(KeyError), session_manager() as session:
            session.execute(insert(kit.Item).values(name="a"))
            raise KeyError
        with session_manager() as session:
            session.execute(insert(kit.Item).values(name="b"))
    assert kit.names() == ["b"]


def test_a_scope_inside_a_block_of_a_savepoint_is_refused(kit: Kit) -> None:
    """Its COMMIT would store what the exception of that block is to undo."""
    with kit.app.app_context():
        with pytest.raises(TransactionActiveError, match=r"inside 'with session\.begin_nested"):
            with kit.db.session.begin_nested(), session_manager() as session:
                session.add(kit.Item(name="a"))
        kit.db.session.rollback()
    assert kit.names() == []


def test_a_savepoint_that_earlier_code_left_open_is_adopted(kit: Kit) -> None:
    """Nobody waits for its end."""
    with kit.app.app_context():
        kit.db.session.begin_nested()
        with session_manager() as session:
            session.add(kit.Item(name="a"))
    assert kit.names() == ["a"]


def _ask_for_a_rollback(*_: Any) -> None:
    cast(Any, current_scope()).set_rollback_only()


def _fail_inside(*_: Any) -> None:
    with pytest.raises(KeyError), session_manager():
        raise KeyError


LAST: Final = ("before_flush", "after_flush", "before_commit")


@pytest.mark.parametrize("name", LAST)
def test_a_listener_of_the_last_flush_may_ask_for_a_rollback(
    kit: Kit, name: str, ran: list[str]
) -> None:
    """The scope had looked before, and sent COMMIT all the same."""
    with kit.app.app_context():
        event.listen(kit.db.session(), name, _ask_for_a_rollback)
        with session_manager() as session:
            on_commit(ran.append, "commit")
            on_rollback(ran.append, "rollback")
            session.add(kit.Item(name="a"))
        assert (ran, kit.names(), kit.checkedout()) == (["rollback"], [], 0)


@pytest.mark.parametrize("name", LAST)
def test_a_scope_that_fails_in_the_last_flush_spoils_the_outer_one(kit: Kit, name: str) -> None:
    """A swallowed exception is one wherever it was raised."""
    with kit.app.app_context():
        event.listen(kit.db.session(), name, _fail_inside)
        with pytest.raises(UnexpectedRollbackError, match=r"failed inside .* with KeyError"):
            with session_manager() as session:
                session.add(kit.Item(name="a"))
        assert (kit.names(), kit.checkedout()) == ([], 0)


# --- ends that a mode lets through --------------------------------------------------------------------------------


@pytest.fixture
def off_kit(make_kit: MakeKit, database: Database) -> Kit:
    """An app whose code may end the transactions of scopes."""
    return make_kit(database, config={"SAFESESSION_OWNERSHIP": "off"})


@pytest.mark.parametrize("database_name", ["postgresql-psycopg", "postgresql-psycopg2"])
def test_a_refused_commit_after_one_that_was_let_through_is_a_rollback(
    make_kit: MakeKit, database_name: str, ran: list[str]
) -> None:
    """The check before COMMIT raised, and the answer to the one before it was taken for its own."""
    kit = make_kit(database_name, config={"SAFESESSION_OWNERSHIP": "off"})
    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError), session_manager() as session:
            session.add(kit.Item(name="a"))
            session.commit()
            on_commit(ran.append, "commit")
            on_rollback(ran.append, "rollback")
            _swallow(session, BROKEN)
    assert (ran, kit.names()) == (["rollback"], ["a"])


def test_hooks_are_dropped_with_a_transaction_that_was_closed_in_hand(
    kit: Kit, ran: list[str]
) -> None:
    """They waited for the next COMMIT of the session, and ran then."""
    with kit.app.app_context():
        with_hooks = kit.db.session.begin()
        kit.db.session.execute(insert(kit.Item).values(name="a"))
        on_commit(ran.append, "commit")
        on_rollback(ran.append, "rollback")
        with_hooks.close()
        kit.db.session.add(kit.Item(name="b"))
        kit.db.session.commit()
    assert (ran, kit.names()) == (["rollback"], ["b"])


@pytest.mark.parametrize("call", ["rollback", "close"])
def test_hooks_are_dropped_with_a_transaction_that_was_ended_in_hand(
    off_kit: Kit, call: str, ran: list[str]
) -> None:
    """What ``session.get_transaction()`` gives ends it too, and a mail left for rows that are not there."""
    with off_kit.app.app_context(), session_manager() as session:
        session.execute(insert(off_kit.Item).values(name="a"))
        on_commit(ran.append, "commit")
        on_rollback(ran.append, "rollback")
        getattr(session.get_transaction(), call)()
    assert (ran, off_kit.names()) == (["rollback"], [])


# --- listeners of the end -----------------------------------------------------------------------------------------


def _listen_once(session: Session, name: str) -> None:
    """Send a statement as soon as the transaction has ended, which begins the next one."""
    done: list[bool] = []

    def again(session: Session, transaction: Any) -> None:
        if transaction.parent is None and not done:
            done.append(True)
            session.execute(select(1))

    event.listen(session, name, again)


def _fail_unnoticed(kit: Kit) -> None:
    """Swallow an error in the transaction that a listener has begun, and commit."""
    session = kit.db.session
    assert len(kit.safe.statistics().holders) == 1
    session.add(kit.Item(name="later"))
    session.flush()
    _swallow(session, BROKEN)
    with pytest.raises(UnexpectedRollbackError):
        session.commit()
    session.rollback()


@pytest.mark.parametrize("begun", [False, True], ids=["by itself", "by hand"])
@pytest.mark.parametrize("database_name", ["postgresql-psycopg", "postgresql-psycopg2"])
def test_what_a_listener_begins_after_a_commit_is_guarded(
    make_kit: MakeKit, database_name: str, begun: bool
) -> None:
    """Its page was closed together with that of the transaction before, and PostgreSQL's ROLLBACK came in silence."""
    kit = make_kit(database_name)
    with kit.app.app_context():
        _listen_once(kit.db.session(), "after_transaction_end")
        if begun:
            kit.db.session.begin()
        kit.db.session.add(kit.Item(name="first"))
        kit.db.session.commit()
        _fail_unnoticed(kit)
    assert kit.names() == ["first"]


@pytest.mark.parametrize("database_name", ["postgresql-psycopg", "postgresql-psycopg2"])
def test_what_a_listener_begins_after_a_rollback_is_guarded(
    make_kit: MakeKit, database_name: str
) -> None:
    """SQLAlchemy's own example of ``after_soft_rollback`` sends a statement."""
    kit = make_kit(database_name)
    with kit.app.app_context():
        _listen_once(kit.db.session(), "after_soft_rollback")
        kit.db.session.execute(select(1))
        kit.db.session.rollback()
        _fail_unnoticed(kit)
    assert kit.names() == []


def test_what_a_listener_begins_after_a_scope_is_nobodys(kit: Kit) -> None:
    """The demands of the scope have ended with its transaction."""
    with kit.app.app_context():
        _listen_once(kit.db.session(), "after_transaction_end")
        with session_manager(read_only=True) as session:
            session.execute(select(kit.Item.name))
        kit.db.session.add(kit.Item(name="later"))
        kit.db.session.commit()
    assert kit.names() == ["later"]


# --- connections that are not the session's own -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["conditional_savepoint", "rollback_only", "create_savepoint"])
def test_a_connection_whose_end_somebody_keeps_is_not_committed(
    make_kit: MakeKit, database: Database, mode: Any
) -> None:
    """COMMIT went to each, where the session has an engine of its own as well.

    See SQLAlchemy, "Joining a Session into an External Transaction".
    """
    kit = make_kit(database, "scoped_session", safe=False, binds=True)
    main, second = kit.engines
    with second.connect() as connection, connection.begin() as outer:
        binds: dict[Any, Any] = {kit.Other: connection}
        factory = sessionmaker(bind=main, binds=binds, join_transaction_mode=mode)
        SafeSession(kit.app, scoped := scoped_session(factory))
        with kit.app.app_context(), session_manager() as session:
            session.add_all([kit.Item(name="a"), kit.Other(name="kept")])
        outer.rollback()
    scoped.remove()
    assert (kit.names(), kit.other_names()) == (["a"], [])


def _cut(kit: Kit, session: Any) -> None:
    """Let the second database be gone when its COMMIT comes."""
    connection = session.connection(bind_arguments={"mapper": kit.Other})
    connection.connection.driver_connection.close()


@pytest.mark.parametrize("begun", [False, True], ids=["by itself", "by hand"])
def test_no_rollback_hook_runs_after_a_partial_commit_by_hand(
    make_kit: MakeKit, begun: bool, ran: list[str]
) -> None:
    """One database has stored its part, as after a scope: nobody may take it for rolled back."""
    kit = make_kit("postgresql-psycopg2", binds=True)
    with kit.app.app_context():
        if begun:
            kit.db.session.begin()
        kit.db.session.add_all([kit.Item(name="a"), kit.Other(name="b")])
        kit.db.session.flush()
        for register, word in ((on_rollback, "rollback"), (on_unknown, "unknown")):
            register(ran.append, word)
        _cut(kit, kit.db.session)
        with pytest.raises(PartialCommitError):
            kit.db.session.commit()
        kit.db.session.rollback()
    assert (ran, kit.names(), kit.other_names()) == (["unknown"], ["a"], [])


# --- words and places ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database_name", ["postgresql-psycopg", "postgresql-psycopg2"])
def test_a_savepoint_that_was_never_sent_undoes_no_failure(
    make_kit: MakeKit, database_name: str
) -> None:
    """SQLAlchemy sends it with the first statement; the refusal of COMMIT lost the name of what was swallowed."""
    kit = make_kit(database_name)
    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match=r"was swallowed: .*nowhere"):
            with session_manager() as session:
                _swallow(session, BROKEN)
                with pytest.raises(KeyError), session_manager(propagation="nested"):
                    raise KeyError


def _commit_in_hand(session: Any) -> None:
    session.begin()
    session.commit()


def _leave_a_savepoint(_: Any) -> None:
    with session_manager(), session_manager(propagation="nested"):
        pass


@pytest.mark.parametrize("before", [_commit_in_hand, _leave_a_savepoint])
def test_the_line_of_an_earlier_commit_takes_no_later_connection(kit: Kit, before: Any) -> None:
    """A COMMIT that took no connection was named as the one that holds it."""
    with kit.app.app_context():
        before(kit.db.session)
        kit.db.session.connection()
        (holder,) = kit.safe.statistics().holders
        assert "test_the_line_of_an_earlier_commit_takes_no_later_connection" in holder.place


CHANGES: Final[dict[str, Any]] = {
    "delete_all": lambda kit, session: session.delete_all(session.query(kit.Item).all()),
    "merge_all": lambda kit, session: session.merge_all([kit.Item(name="b")]),
}


@pytest.mark.parametrize("call", CHANGES)
@pytest.mark.skipif(not hasattr(Session, "delete_all"), reason="it is new in SQLAlchemy 2.1")
def test_the_first_change_of_many_objects_is_named(sqlite_kit: Kit, call: str) -> None:
    """They do not go through the methods for one object."""
    kit = sqlite_kit
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="a"))
    with pytest.warns(UncommittedChangesWarning, match="first change was made by '<lambda>'"):
        with kit.app.app_context():
            CHANGES[call](kit, kit.db.session())


_RETURNING: Final = text("INSERT INTO item (name) VALUES ('a') RETURNING id, name, amount")
ROWS: Final[dict[str, Any]] = {
    "columns": lambda kit: _RETURNING.columns(kit.Item.id),
    "objects": lambda kit: select(kit.Item).from_statement(_RETURNING),
    "objects of columns": lambda kit: select(kit.Item).from_statement(
        _RETURNING.columns(kit.Item.id)
    ),
}


@pytest.mark.parametrize("make", ROWS.values(), ids=ROWS)
def test_text_that_writes_and_gives_rows_is_reported(sqlite_kit: Kit, make: Any) -> None:
    """SQLAlchemy calls it a SELECT, and it was lost in silence."""
    with pytest.warns(UncommittedChangesWarning, match="statements already sent"):
        with sqlite_kit.app.app_context():
            sqlite_kit.db.session.execute(make(sqlite_kit)).all()
    assert sqlite_kit.names() == []


NOTHING: Final[dict[str, Any]] = {
    "objects": lambda kit, session: session.bulk_save_objects(iter([])),
    "insert": lambda kit, session: session.bulk_insert_mappings(kit.Item, []),
    "update": lambda kit, session: session.bulk_update_mappings(kit.Item, []),
}


@pytest.mark.parametrize("call", NOTHING)
def test_a_bulk_call_without_rows_has_changed_nothing(sqlite_kit: Kit, call: str) -> None:
    """An import of an empty file was reported as statements that nobody committed."""
    with sqlite_kit.app.app_context():
        NOTHING[call](sqlite_kit, sqlite_kit.db.session)
        assert sqlite_kit.db.session.scalars(select(sqlite_kit.Item.name)).all() == []


def test_a_call_without_objects_is_not_the_first_change(sqlite_kit: Kit) -> None:
    """The report named its line, and not the one that had changed something."""

    def change(kit: Kit) -> None:
        kit.db.session.add(kit.Item(name="a"))

    with pytest.warns(UncommittedChangesWarning, match="first change was made by 'change'"):
        with sqlite_kit.app.app_context():
            sqlite_kit.db.session.add_all([])
            change(sqlite_kit)


# --- threads and tries --------------------------------------------------------------------------------------------


def test_a_transaction_is_not_overdue_because_the_one_before_was(
    make_kit: MakeKit, database: Database
) -> None:
    """It may end between the look of the thread that watches and its word, which fell upon the next one."""
    kit = make_kit(database, config={"SAFESESSION_HELD_CONNECTION": "raise"})
    watched: Any = cast(Any, kit.engine.pool).safesession_watched
    with kit.app.app_context():
        session = kit.db.session
        session.execute(select(1))
        (hold,) = watched.holds()
        session.rollback()
        watched.reports._complain(hold)
        session.add(kit.Item(name="a"))
        session.commit()
    assert kit.names() == ["a"]


def test_a_stream_outlives_the_threads_that_read_it(make_kit: MakeKit, database: Database) -> None:
    """A server's pool ends idle threads: the connection was taken back under the body, whose rows broke off."""
    kit = make_kit(database, config={"SAFESESSION_HELD_SECONDS": 0.05})
    pool: Any = kit.engine.pool
    rows = [f"row {number}" for number in range(6)]

    def chunk() -> None:
        got.append(next(stream))

    got: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is held long is true
        with kit.app.app_context():
            with session_manager() as session:
                session.add_all(kit.Item(name=each) for each in rows)
            query = select(kit.Item.name).order_by(kit.Item.name)
            lazy = query.execution_options(yield_per=2)
            stream = stream_with_session(each for _ in (1,) for each in _names(kit, lazy))
        for _ in rows:
            thread = Thread(target=chunk)
            thread.start()
            thread.join(SECONDS)
            pool.safesession_watched.reports.look(pool.safesession_watched.holds())
            Event().wait(0.06)
            pool.safesession_watched.reports.look(pool.safesession_watched.holds())
        stream.close()
    assert got == rows


def _names(kit: Kit, query: Any) -> Any:
    yield from kit.db.session.scalars(query)


def test_a_session_that_was_handed_on_outlives_its_request(kit: Kit) -> None:
    """The end of the request took its connection for one that was left, and failed at the session of another."""
    given: list[Session] = []

    @kit.app.get("/hand-on")
    def hand_on() -> str:
        session = kit.db.session()
        session.add(kit.Item(name="a"))
        session.flush()
        handoff(session)
        given.append(session)
        return "later"

    def work() -> None:
        given[0].commit()
        given[0].close()

    assert kit.client.get("/hand-on").text == "later"
    thread = Thread(target=work)
    thread.start()
    thread.join(SECONDS)
    assert (kit.names(), kit.checkedout()) == (["a"], 0)


def test_a_session_that_does_not_begin_by_itself_is_tried_again(make_kit: MakeKit) -> None:
    """What its context has loaded before belongs to the session of each try, which had begun nothing yet."""
    kit = make_kit("sqlite-file", "sessionmaker", safe=False)
    engine: Engine = kit.engine
    factory = scoped_session(sessionmaker(engine, autobegin=False, expire_on_commit=False))
    SafeSession(kit.app, factory)
    with kit.app.app_context():
        with factory.begin():
            factory.add(user := kit.Item(name="before"))
        locked = DBAPIError(
            "x", {}, engine.dialect.loaded_dbapi.OperationalError("database is locked")
        )
        tries: list[SQLAlchemyError] = [locked]

        @transactional(retry=RetryPolicy(base_delay=0))
        def rename() -> None:
            user.name = "after"
            if tries:
                raise tries.pop()

        rename()
    assert kit.names() == ["after"]
