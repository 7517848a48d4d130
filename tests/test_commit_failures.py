"""A COMMIT that fails: nothing of it is stored later, and nobody inherits its transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from typing import Any

import pytest
from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, IllegalStateChangeError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from flask_safesession import (
    SafeSession,
    classify,
    current_scope,
    on_commit,
    on_rollback,
    on_unknown,
    session_manager,
)
from flask_safesession.errors import (
    CommitOutcomeUnknownError,
    PartialCommitError,
    UnexpectedRollbackError,
)

from .kit import Kit, MakeKit

AT_ONCE = {"connect_args": {"timeout": 0}}


class ListenerError(Exception):
    """What the listener of a user raises."""


@contextmanager
def _reader(url: str) -> Iterator[None]:
    """Read from a SQLite file all the time: without WAL no COMMIT gets its lock meanwhile."""
    path = make_url(url).database
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM item").fetchall()
        yield


def _locked(kit: Kit) -> AbstractContextManager[None]:
    return _reader(kit.database.url)


def _late_key(kit: Kit) -> AbstractContextManager[None]:
    kit.session().add(kit.LateChild(name="orphan", parent_id=-1))
    return nullcontext()


@contextmanager
def _listener(kit: Kit) -> Iterator[None]:
    """Let a listener of ``before_commit`` raise after it has sent what is pending."""

    def before_commit(session: Session) -> None:
        session.flush()
        raise ListenerError

    event.listen(kit.db.session, "before_commit", before_commit)
    try:
        yield
    finally:
        event.remove(kit.db.session, "before_commit", before_commit)


Spoil = Callable[[Kit], AbstractContextManager[None]]

CASES: list[tuple[str, Spoil, type[Exception]]] = [
    ("sqlite-file", _locked, OperationalError),
    ("sqlite-file", _late_key, IntegrityError),
    ("postgresql-psycopg", _late_key, IntegrityError),
    ("postgresql-psycopg2", _late_key, IntegrityError),
    ("mariadb-pymysql", _late_key, IntegrityError),
    ("mariadb-mysqlclient", _late_key, IntegrityError),
    ("sqlite-file", _listener, ListenerError),
    ("postgresql-psycopg", _listener, ListenerError),
    ("postgresql-psycopg2", _listener, ListenerError),
    ("mariadb-pymysql", _listener, ListenerError),
    ("mariadb-mysqlclient", _listener, ListenerError),
]
each_case = pytest.mark.parametrize(
    ("database_name", "spoil", "error"),
    CASES,
    ids=[f"{name}-{spoil.__name__[1:]}" for name, spoil, _ in CASES],
)


@pytest.fixture
def case_kit(make_kit: MakeKit, database_name: str) -> Kit:
    """A kit on the database of the case; SQLite does not wait for locks."""
    options = AT_ONCE if database_name.startswith("sqlite") else {}
    return make_kit(database_name, engine_options=options)


def _add(kit: Kit, name: str) -> None:
    kit.db.session.add(kit.Item(name=name))


@each_case
def test_a_failed_commit_of_a_scope_is_not_stored_by_the_next(
    case_kit: Kit, spoil: Spoil, error: type[Exception]
) -> None:
    """The error is raised, the outcome is a rollback, and B stores only its own row."""
    kit, ran = case_kit, list[str]()
    with kit.app.app_context():
        with pytest.raises(error), ExitStack() as spoiled, session_manager():
            _add(kit, "a")
            on_commit(ran.append, "commit")
            on_rollback(ran.append, "rollback")
            spoiled.enter_context(spoil(kit))
        assert (ran, kit.checkedout()) == (["rollback"], 0)
    with kit.app.app_context(), session_manager():
        _add(kit, "b")
    assert kit.names() == ["b"]


@each_case
def test_a_failed_commit_by_hand_is_not_stored_by_the_next(
    case_kit: Kit, spoil: Spoil, error: type[Exception]
) -> None:
    """Nobody rolls back, the context ends, and B stores only its own row."""
    kit = case_kit
    with pytest.raises(error), kit.app.app_context():
        _add(kit, "a")
        with spoil(kit):
            kit.db.session.commit()
    assert kit.checkedout() == 0
    with kit.app.app_context():
        _add(kit, "b")
        kit.db.session.commit()
    assert kit.names() == ["b"]


@each_case
def test_a_failed_commit_by_hand_is_over_after_its_rollback(
    case_kit: Kit, spoil: Spoil, error: type[Exception]
) -> None:
    """The same session goes on as the documentation of SQLAlchemy says."""
    kit = case_kit
    with kit.app.app_context():
        _add(kit, "a")
        with pytest.raises(error), spoil(kit):
            kit.db.session.commit()
        kit.db.session.rollback()
        _add(kit, "b")
        kit.db.session.commit()
    assert kit.names() == ["b"]


@each_case
def test_a_failed_commit_leaves_a_clean_connection_after_a_close(
    case_kit: Kit, spoil: Spoil, error: type[Exception]
) -> None:
    """``remove()`` alone is enough, though it sends no rollback of its own."""
    kit = case_kit
    with kit.app.app_context():
        _add(kit, "a")
        with pytest.raises(error), spoil(kit):
            kit.db.session.commit()
        kit.db.session.remove()
        with kit.engine.begin() as connection:
            connection.execute(text("INSERT INTO item (name, amount) VALUES ('core', 0)"))
    assert kit.names() == ["core"]


def _fail_in_a_request(kit: Kit) -> None:
    @kit.app.post("/<name>")
    def store(name: str) -> str:
        _add(kit, name)
        kit.db.session.commit()
        return name

    kit.app.testing = False
    with _locked(kit):
        assert kit.client.post("/a").status_code >= 500
    assert kit.client.post("/b").status_code == 200


def test_a_failed_commit_of_a_request_is_not_stored_by_the_next(make_kit: MakeKit) -> None:
    """A's view fails with "database is locked", B's request gets the connection, and A's row stays lost."""
    kit = make_kit(engine_options=AT_ONCE)
    _fail_in_a_request(kit)
    assert kit.names() == ["b"]


def test_stock_stores_the_row_of_a_failed_request(make_kit: MakeKit) -> None:
    """What the test above guards against: the row whose request failed is stored with the next one's."""
    kit = make_kit(safe=False, engine_options=AT_ONCE)
    _fail_in_a_request(kit)
    assert kit.names() == ["a", "b"]


def test_stock_fails_where_the_deferred_key_of_another_request_is_wrong(make_kit: MakeKit) -> None:
    """What the deferred key does without the extension on SQLite: B inherits A's orphan, and fails."""
    kit = make_kit(safe=False)
    with kit.app.app_context():
        with pytest.raises(IntegrityError), _late_key(kit):
            kit.db.session.commit()
    with kit.app.app_context():
        _add(kit, "b")
        with pytest.raises(IntegrityError):
            kit.db.session.commit()
        kit.db.session.rollback()
    kit.engine.pool.dispose()
    assert kit.names() == []


def test_a_hook_that_raises_leaves_the_row_and_no_open_transaction(kit: Kit) -> None:
    """The COMMIT was done; the next scope works as ever."""

    def hook() -> None:
        raise ListenerError

    with kit.app.app_context():
        with pytest.raises(ListenerError), session_manager():
            _add(kit, "a")
            on_commit(hook)
        assert kit.checkedout() == 0
        with session_manager():
            _add(kit, "b")
    assert kit.names() == ["a", "b"]


def test_a_hook_that_raises_after_a_commit_by_hand_leaves_the_session_usable(kit: Kit) -> None:
    """User code inside SQLAlchemy's own ``after_commit`` would wedge it."""

    def hook() -> None:
        raise ListenerError

    with kit.app.app_context():
        _add(kit, "a")
        kit.db.session.flush()
        on_commit(hook)
        with pytest.raises(ListenerError):
            kit.db.session.commit()
        _add(kit, "b")
        kit.db.session.commit()
    assert kit.names() == ["a", "b"]


def test_a_listener_of_after_commit_that_raises_wedges_nothing(kit: Kit) -> None:
    """SQLAlchemy's own event, in a scope: the row is stored, the outcome says so, and B works."""

    def after_commit(session: Session) -> None:
        raise ListenerError

    event.listen(kit.db.session, "after_commit", after_commit, once=True)
    with kit.app.app_context():
        with pytest.raises(ListenerError), session_manager():
            scope = current_scope()
            _add(kit, "a")
        assert scope is not None
        assert (scope.outcome, kit.checkedout()) == ("committed", 0)
        with session_manager():
            _add(kit, "b")
    assert kit.names() == ["a", "b"]


KILLED = ("postgresql-psycopg", "postgresql-psycopg2", "mariadb-pymysql")
_OWN = {"postgresql": "SELECT pg_backend_pid()", "mariadb": "SELECT connection_id()"}
_KILL = {"postgresql": "SELECT pg_terminate_backend({}, 5000)", "mariadb": "KILL {}"}


@pytest.fixture(params=KILLED)
def server_kit(request: pytest.FixtureRequest, make_kit: MakeKit) -> Kit:
    """A kit on a server, which can end a connection."""
    return make_kit(request.param)


def _kill(kit: Kit, session: Session) -> None:
    """Let the server end the connection of *session*, which does not learn of it before COMMIT."""
    process = session.scalar(text(_OWN[kit.database.dialect]))
    with kit.engine.connect() as other:
        other.execute(text(_KILL[kit.database.dialect].format(process)))


def test_a_connection_lost_in_commit_leaves_the_outcome_unknown(server_kit: Kit) -> None:
    """The reply to COMMIT is missing: neither stored nor rolled back may be said."""
    kit, ran = server_kit, list[str]()
    with kit.app.app_context():
        with pytest.raises(CommitOutcomeUnknownError, match="Look the rows up") as caught:
            with session_manager() as session:
                scope = current_scope()
                _add(kit, "a")
                on_commit(ran.append, "commit")
                on_rollback(ran.append, "rollback")
                on_unknown(ran.append, "unknown")
                session.flush()
                _kill(kit, session)
        assert scope is not None
        assert (ran, scope.outcome, kit.checkedout()) == (["unknown"], "unknown", 0)
        assert isinstance(caught.value.__cause__, DBAPIError)
        assert classify(caught.value).category == "commit_unknown"
        with session_manager():
            _add(kit, "b")
    assert kit.names() == ["b"]


def test_a_connection_lost_in_a_commit_by_hand_keeps_the_drivers_error(server_kit: Kit) -> None:
    """``classify()`` says what it is, and ``on_unknown`` hooks run."""
    kit, ran = server_kit, list[str]()
    with kit.app.app_context():
        _add(kit, "a")
        kit.db.session.flush()
        on_rollback(ran.append, "rollback")
        on_unknown(ran.append, "unknown")
        _kill(kit, kit.db.session())
        with pytest.raises(DBAPIError) as caught:
            kit.db.session.commit()
        kit.db.session.rollback()
        assert classify(caught.value).category == "commit_unknown"
        assert ran == ["unknown"]
        _add(kit, "b")
        kit.db.session.commit()
    assert kit.names() == ["b"]


def test_a_connection_lost_in_a_block_of_begin_is_unknown_too(server_kit: Kit) -> None:
    """``with session.begin():`` rolls back after its commit has failed; that changes nothing."""
    kit, ran = server_kit, list[str]()
    with kit.app.app_context():
        with pytest.raises(DBAPIError), kit.db.session.begin():
            on_rollback(ran.append, "rollback")
            on_unknown(ran.append, "unknown")
            _kill(kit, kit.db.session())
    assert ran == ["unknown"]


def test_a_connection_lost_before_the_last_flush_is_not_unknown(server_kit: Kit) -> None:
    """COMMIT was never sent, so nothing is stored for sure."""
    kit = server_kit
    with kit.app.app_context():
        with pytest.raises(DBAPIError), session_manager() as session:
            scope = current_scope()
            _add(kit, "a")
            with session.no_autoflush:
                _kill(kit, session)
        assert scope is not None
        assert scope.outcome == "rolled_back"
    assert kit.names() == []


@pytest.fixture
def two_kit(make_kit: MakeKit) -> Kit:
    """A kit with two SQLite files that do not wait for locks."""
    return make_kit(binds=True, engine_options=AT_ONCE)


def _add_both(kit: Kit) -> None:
    # The second first: the order of the COMMITs does not follow that of the statements.
    session = kit.db.session
    session.add(kit.Other(name="a"))
    session.flush()
    session.add(kit.Item(name="a"))


def test_several_engines_commit_together(make_kit: MakeKit, database: Any) -> None:
    """One scope, two databases, and both rows are stored."""
    kit = make_kit(database, binds=True)
    with kit.app.app_context():
        with session_manager():
            _add_both(kit)
        assert (kit.names(), kit.other_names(), kit.checkedout()) == (["a"], ["a"], 0)


def test_several_engines_roll_back_together(make_kit: MakeKit, database: Any) -> None:
    """And neither is."""
    kit = make_kit(database, binds=True)
    with kit.app.app_context():
        with pytest.raises(KeyError), session_manager() as session:
            _add_both(kit)
            session.flush()
            raise KeyError
        assert (kit.names(), kit.other_names(), kit.checkedout()) == ([], [], 0)


def test_the_main_database_commits_first_and_its_failure_stores_nothing(two_kit: Kit) -> None:
    """The error is the driver's own: nothing is partial."""
    with two_kit.app.app_context():
        with pytest.raises(OperationalError, match="database is locked"):
            with _reader(two_kit.database.url), session_manager():
                _add_both(two_kit)
        assert (two_kit.names(), two_kit.other_names()) == ([], [])
        with session_manager():
            two_kit.db.session.add_all([two_kit.Item(name="b"), two_kit.Other(name="b")])
    assert (two_kit.names(), two_kit.other_names()) == (["b"], ["b"])


@contextmanager
def _second_reader(kit: Kit) -> Iterator[None]:
    """As ``_reader``, on the second database."""
    path = make_url(kit.database.second_url).database
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM other").fetchall()
        yield


def test_a_later_commit_that_fails_is_partial(two_kit: Kit) -> None:
    """The error names what was stored and what was not, with the driver's error as its cause."""
    with two_kit.app.app_context():
        with pytest.raises(PartialCommitError) as caught, _second_reader(two_kit):
            with session_manager():
                scope = current_scope()
                _add_both(two_kit)
        error = caught.value
        assert (error.stored, error.not_stored) == (("default",), ("second",))
        assert "COMMIT failed on 'second' after 'default' had committed" in str(error)
        assert isinstance(error.__cause__, OperationalError)
        assert scope is not None
        assert scope.outcome == "unknown"
        assert (two_kit.names(), two_kit.other_names()) == (["a"], [])
        with session_manager():
            two_kit.db.session.add(two_kit.Other(name="b"))
    assert two_kit.other_names() == ["b"]


def test_a_later_commit_by_hand_that_fails_is_partial_too(two_kit: Kit) -> None:
    """Outside any scope, and B stores only its own rows."""
    with two_kit.app.app_context():
        _add_both(two_kit)
        with pytest.raises(PartialCommitError), _second_reader(two_kit):
            two_kit.db.session.commit()
        two_kit.db.session.rollback()
        _add_all = two_kit.db.session.add_all
        _add_all([two_kit.Item(name="b"), two_kit.Other(name="b")])
        two_kit.db.session.commit()
    assert (two_kit.names(), two_kit.other_names()) == (["a", "b"], ["b"])


def test_every_database_is_checked_before_the_first_commit(make_kit: MakeKit) -> None:
    """A swallowed failure on the second one keeps the first from being stored."""
    kit = make_kit("postgresql-psycopg", binds=True)
    with kit.app.app_context():
        _add_both(kit)
        kit.db.session.flush()
        second = kit.db.session.connection(bind_arguments={"mapper": kit.Other.__mapper__})
        with pytest.raises(DBAPIError):
            second.exec_driver_sql("SELECT 1 / 0")
        with pytest.raises((UnexpectedRollbackError, IllegalStateChangeError)) as caught:
            kit.db.session.commit()
        assert "COMMIT was not sent" in _with_context(caught.value)
        kit.db.session.close()
    assert (kit.names(), kit.other_names()) == ([], [])


def test_a_lost_connection_of_several_is_not_pooled(make_kit: MakeKit) -> None:
    """The main database's connection broke in COMMIT; the second is rolled back and goes on."""
    kit = make_kit("postgresql-psycopg", binds=True)
    with kit.app.app_context():
        with pytest.raises((CommitOutcomeUnknownError, DBAPIError)):
            with session_manager() as session:
                _add_both(kit)
                session.flush()
                process = session.connection().scalar(text("SELECT pg_backend_pid()"))
                with kit.engine.connect() as other:
                    other.execute(text(f"SELECT pg_terminate_backend({process}, 5000)"))
        assert (kit.names(), kit.other_names(), kit.checkedout()) == ([], [], 0)
        with session_manager():
            _add_both(kit)
    assert (kit.names(), kit.other_names()) == (["a"], ["a"])


def _can_prepare(kit: Kit) -> bool:
    """Whether the server lets transactions be prepared; PostgreSQL does not by default."""
    if kit.database.dialect == "mariadb":
        return True
    engine = create_engine(kit.database.url)
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(text("SHOW max_prepared_transactions")) != "0")
    finally:
        engine.dispose()


@pytest.fixture(params=["postgresql-psycopg", "postgresql-psycopg2", "mariadb-pymysql"])
def twophase_kit(request: pytest.FixtureRequest, make_kit: MakeKit) -> Kit:
    """A kit with two databases that prepares on both."""
    return make_kit(request.param, binds=True, options={"twophase": True})


# SQLAlchemy 2.0.36 puts an error of its own in the place of what made PREPARE fail; 2.0.58 does not.
PREPARE_ERRORS = (DBAPIError, IllegalStateChangeError)


def _with_context(error: BaseException | None) -> str:
    return "" if error is None else f"{error} {_with_context(error.__context__)}"


def test_two_phases_store_on_both_or_say_why_not(twophase_kit: Kit) -> None:
    """Where the server refuses to prepare, its error is raised and nothing is stored."""
    kit = twophase_kit
    if _can_prepare(kit):
        with kit.app.app_context(), session_manager():
            _add_both(kit)
        assert (kit.names(), kit.other_names()) == (["a"], ["a"])
        return
    with kit.app.app_context():
        with pytest.raises(PREPARE_ERRORS) as caught:
            with session_manager():
                _add_both(kit)
        assert "prepared transactions are disabled" in _with_context(caught.value)
        assert (kit.names(), kit.other_names(), kit.checkedout()) == ([], [], 0)


def test_two_phases_roll_back_together(twophase_kit: Kit) -> None:
    """An exception leaves nothing on either, prepared transactions included."""
    kit = twophase_kit
    with kit.app.app_context():
        with pytest.raises(KeyError), session_manager() as session:
            _add_both(kit)
            session.flush()
            raise KeyError
        assert (kit.names(), kit.other_names(), kit.checkedout()) == ([], [], 0)


def test_a_failure_while_preparing_stores_nothing(twophase_kit: Kit) -> None:
    """The deferred key of the main database is checked when it prepares, before anything is committed."""
    kit = twophase_kit
    with kit.app.app_context():
        with pytest.raises(PREPARE_ERRORS), session_manager() as session:
            _add_both(kit)
            session.add(kit.LateChild(name="orphan", parent_id=-1))
        assert (kit.names(), kit.other_names(), kit.checkedout()) == ([], [], 0)


@pytest.mark.parametrize("database_name", KILLED[:2])
def test_a_swallowed_failure_is_found_before_preparing(
    make_kit: MakeKit, database_name: str
) -> None:
    """PostgreSQL would answer PREPARE with ROLLBACK after the other database has prepared."""
    kit = make_kit(database_name, binds=True, options={"twophase": True})
    with kit.app.app_context():
        _add_both(kit)
        kit.db.session.flush()
        second = kit.db.session.connection(bind_arguments={"mapper": kit.Other.__mapper__})
        with pytest.raises(DBAPIError):
            second.exec_driver_sql("SELECT 1 / 0")
        with pytest.raises((UnexpectedRollbackError, IllegalStateChangeError)) as caught:
            kit.db.session.commit()
        assert "COMMIT was not sent" in _with_context(caught.value)
        kit.db.session.close()
    assert (kit.names(), kit.other_names()) == ([], [])


@pytest.mark.parametrize("binds", [False, True])
def test_two_phases_need_several_databases_that_can(make_kit: MakeKit, binds: bool) -> None:
    """SQLite cannot, and one database needs none: there the setting changes nothing."""
    kit = make_kit(
        "sqlite-file" if binds else "mariadb-pymysql", binds=binds, options={"twophase": True}
    )
    with kit.app.app_context(), session_manager() as session:
        _add_both(kit)
        assert not session.twophase
    assert (kit.names(), kit.other_names()) == (["a"], ["a"])


@pytest.mark.mariadb
def test_a_prepare_by_hand_stays_allowed(make_kit: MakeKit) -> None:
    """Outside a scope nobody owns the two phases."""
    kit = make_kit("mariadb-pymysql", binds=True, options={"twophase": True})
    with kit.app.app_context():
        _add_both(kit)
        kit.db.session().prepare()
        kit.db.session.commit()
    assert (kit.names(), kit.other_names()) == (["a"], ["a"])


@pytest.mark.mariadb
def test_two_phases_without_a_session_stay_as_they_are(make_kit: MakeKit) -> None:
    """What is put on the dialect looks for the record of a session, and finds none."""
    kit = make_kit("mariadb-pymysql")
    with kit.app.app_context(), session_manager() as session:
        session.connection()
    with kit.engine.connect() as connection, connection.begin_twophase() as transaction:
        connection.execute(text("INSERT INTO item (name, amount) VALUES ('core', 0)"))
        transaction.prepare()
    assert kit.names() == ["core"]


def test_a_savepoint_without_a_session_stays_as_it_is(kit: Kit) -> None:
    """The same for SQLite's missing BEGIN: nothing is stored before the commit."""
    with kit.app.app_context(), session_manager() as session:
        session.connection()
    with kit.engine.connect() as connection:
        with connection.begin_nested():
            connection.execute(text("INSERT INTO item (name, amount) VALUES ('core', 0)"))
        connection.rollback()
    assert kit.names() == []


def test_a_commit_without_a_session_that_fails_is_rolled_back(make_kit: MakeKit) -> None:
    """A connection of an engine that no session has used yet."""
    kit = make_kit(engine_options=AT_ONCE)
    with kit.app.app_context():
        pass
    with pytest.raises(OperationalError), _locked(kit), kit.engine.begin() as connection:
        connection.execute(text("INSERT INTO item (name, amount) VALUES ('core', 0)"))
    with kit.app.app_context(), session_manager():
        _add(kit, "b")
    assert kit.names() == ["b"]


class InterruptedConnection(sqlite3.Connection):
    """A connection whose COMMIT is cut off by Ctrl-C."""

    def commit(self) -> None:
        raise KeyboardInterrupt


def test_a_commit_that_is_interrupted_is_unknown(make_kit: MakeKit) -> None:
    """Its answer may still come: the connection is not used again, and nobody says that it was rolled back."""
    kit = make_kit(engine_options={"connect_args": {"factory": InterruptedConnection}})
    scopes: list[Any] = []
    with kit.app.app_context(), pytest.raises(KeyboardInterrupt):
        with session_manager() as session:
            scopes.append(current_scope())
            session.add(kit.Item(name="a"))
    assert ([each.outcome for each in scopes], kit.checkedout()) == (["unknown"], 0)


def test_a_dialect_that_executes_in_its_own_way_does_so_still(make_kit: MakeKit) -> None:
    """As those do that other tools have changed before us."""
    kit = make_kit(safe=False)
    sent: list[str] = []
    stock = kit.engine.dialect.do_execute

    def do_execute(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        sent.append(statement)
        stock(cursor, statement, parameters, context)

    vars(kit.engine.dialect)["do_execute"] = do_execute
    SafeSession(kit.app, kit.db)
    with kit.app.app_context(), session_manager() as session:
        session.execute(text("SELECT 1"))
    assert sent == ["SELECT 1"]
