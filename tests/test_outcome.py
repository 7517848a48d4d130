"""How a scope ends: which blocks commit, which roll back, and what a swallowed failure leads to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from flask_safesession import current_scope, on_commit, on_rollback, session_manager, transactional
from flask_safesession.errors import (
    NoTransactionError,
    TransactionActiveError,
    TransactionOwnershipError,
    UnexpectedRollbackError,
)

from .kit import Kit, MakeKit

BOTH_DRIVERS = ("postgresql-psycopg", "postgresql-psycopg2")


def _rollback_only() -> None:
    scope = current_scope()
    assert scope is not None
    scope.set_rollback_only()


def test_a_block_that_ends_commits(kit: Kit) -> None:
    """The rows are stored, and the connection is back in the pool."""
    with kit.app.app_context():
        with session_manager() as session:
            session.add(kit.Item(name="stored"))
        assert (kit.names(), kit.checkedout()) == (["stored"], 0)


def test_a_return_from_the_block_commits(kit: Kit) -> None:
    """It leaves the block like its end."""

    def work() -> str:
        with session_manager() as session:
            session.add(kit.Item(name="stored"))
            return "returned"

    with kit.app.app_context():
        assert work() == "returned"
    assert kit.names() == ["stored"]


@pytest.mark.parametrize("keyword", ["break", "continue"])
def test_leaving_a_loop_commits(kit: Kit, keyword: str) -> None:
    """``break`` and ``continue`` too."""
    with kit.app.app_context():
        for _ in range(1):
            with session_manager() as session:
                session.add(kit.Item(name="stored"))
                if keyword == "break":
                    break
                continue
    assert kit.names() == ["stored"]


@pytest.mark.parametrize(
    "error", [ValueError(), KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr
)
def test_an_exception_rolls_back_and_is_the_same_object(kit: Kit, error: BaseException) -> None:
    """Whatever its class; and the connection is back."""
    with kit.app.app_context():
        with pytest.raises(type(error)) as caught, session_manager() as session:
            session.add(kit.Item(name="lost"))
            session.flush()
            raise error
        assert caught.value is error
        assert (kit.names(), kit.checkedout()) == ([], 0)


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()], ids=repr)
def test_an_exception_of_a_joined_scope_is_the_same_object(kit: Kit, error: BaseException) -> None:
    """Let out through both scopes, it is no unexpected rollback."""
    with kit.app.app_context(), pytest.raises(type(error)) as caught:
        with session_manager() as session, session_manager():
            session.add(kit.Item(name="lost"))
            raise error
    assert caught.value is error
    assert kit.names() == []


def test_an_exception_has_no_notes_when_the_rollback_worked(sqlite_kit: Kit) -> None:
    """It is as the program raised it."""
    with sqlite_kit.app.app_context(), pytest.raises(ValueError, match="mine") as caught:
        with session_manager():
            raise ValueError("mine")
    assert not hasattr(caught.value, "__notes__")
    assert caught.value.__cause__ is None


def test_a_generator_that_is_dropped_rolls_back(sqlite_kit: Kit) -> None:
    """Closing it raises ``GeneratorExit`` inside the block."""

    def work() -> Iterator[None]:
        with session_manager() as session:
            session.add(sqlite_kit.Item(name="lost"))
            yield

    with sqlite_kit.app.app_context():
        generator = work()
        next(generator)
        assert isinstance(generator, Iterator)
        getattr(generator, "close")()  # noqa: B009 - an Iterator has none
    assert sqlite_kit.names() == []


def test_scopes_that_are_left_out_of_order_roll_back(sqlite_kit: Kit) -> None:
    """The error names both, and nothing is half-done."""
    with sqlite_kit.app.app_context():
        outer, inner = session_manager(name="outer"), session_manager(name="inner")
        outer.__enter__().add(sqlite_kit.Item(name="lost"))
        inner.__enter__()
        with pytest.raises(TransactionActiveError, match=r"'outer'.* out of order.*'inner'"):
            outer.__exit__(None, None, None)
        with pytest.raises(TransactionActiveError, match="out of order"):
            inner.__exit__(None, None, None)
    assert (sqlite_kit.names(), sqlite_kit.checkedout()) == ([], 0)


def test_rollback_only_of_the_owner_is_quiet(kit: Kit) -> None:
    """Its own block wanted it; statements went on working until the end."""
    with kit.app.app_context():
        with session_manager() as session:
            session.add(kit.Item(name="lost"))
            _rollback_only()
            assert session.scalars(select(kit.Item.name)).all() == ["lost"]
            scope = current_scope()
            assert scope is not None
        assert scope.outcome == "rolled_back"
    assert kit.names() == []


def test_rollback_only_of_a_joined_scope_is_not_quiet(kit: Kit) -> None:
    """The owner wanted to commit, and learns who asked for what."""
    with kit.app.app_context():
        with pytest.raises(
            UnexpectedRollbackError, match=r"'inner' \(.*:\d+\) called 'set_rollback_only\(\)'"
        ):
            with session_manager(name="outer") as session:
                session.add(kit.Item(name="lost"))
                with session_manager(name="inner"):
                    _rollback_only()
                assert session.scalars(select(kit.Item.name)).all() == ["lost"]
    assert kit.names() == []


def test_rollback_only_of_a_savepoint_is_quiet_and_its_own(kit: Kit) -> None:
    """The outer scope commits the rest."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="kept"))
        with session_manager(propagation="nested"):
            session.add(kit.Item(name="lost"))
            _rollback_only()
    assert kit.names() == ["kept"]


def test_rollback_only_after_a_joined_scope_asked_for_it_stays_loud(sqlite_kit: Kit) -> None:
    """The owner's own wish comes too late to make it quiet."""
    with sqlite_kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError), session_manager():
            with session_manager():
                _rollback_only()
            _rollback_only()


def test_rollback_only_after_the_end_is_an_error(sqlite_kit: Kit) -> None:
    """There is nothing left to roll back."""
    with sqlite_kit.app.app_context():
        with session_manager(name="over"):
            scope = current_scope()
        assert scope is not None
        with pytest.raises(NoTransactionError, match=r"'over'.* has ended \(committed\)"):
            scope.set_rollback_only()
    assert scope.outcome == "committed"


def _fail_inside(name: str = "inner", error: BaseException | None = None) -> None:
    with session_manager(name=name):
        raise error or ValueError("of the inner scope")


def test_a_swallowed_failure_of_a_joined_scope_is_unexpected(kit: Kit) -> None:
    """The owner gets the cause, and the file and line of the scope that failed."""
    error = ValueError("of the inner scope")
    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError) as caught:
            with session_manager(name="outer") as session:
                session.add(kit.Item(name="lost"))
                with pytest.raises(ValueError, match="of the inner"):
                    _fail_inside(error=error)
    line = _fail_inside.__code__.co_firstlineno + 1
    assert caught.value.__cause__ is error
    assert f"test_outcome.py:{line}) failed inside the transaction of 'outer'" in str(caught.value)
    assert "ValueError: of the inner scope" in str(caught.value)
    assert (kit.names(), kit.checkedout()) == ([], 0)


@pytest.mark.parametrize(
    "statement",
    [
        lambda kit, session: session.execute(select(kit.Item)),
        lambda kit, session: session.scalars(select(kit.Item)),
        lambda kit, session: session.get(kit.Item, 1),
        lambda kit, session: session.connection(),
        lambda kit, session: session.flush(),
        lambda kit, session: kit.db.session.execute(select(kit.Item)),
    ],
    ids=["execute", "scalars", "get", "connection", "flush", "db.session"],
)
def test_statements_after_a_swallowed_failure_are_refused(
    sqlite_kit: Kit, statement: Callable[[Kit, Session], Any]
) -> None:
    """Work that cannot be stored is not done, and the error says since when."""
    with sqlite_kit.app.app_context(), pytest.raises(UnexpectedRollbackError):
        with session_manager() as session:
            with pytest.raises(ValueError, match="of the inner"):
                _fail_inside("spoiler")
            session.add(sqlite_kit.Item(name="late"))
            with pytest.raises(UnexpectedRollbackError, match=r"'spoiler'.*no more statements"):
                statement(sqlite_kit, session)
    assert sqlite_kit.names() == []


def test_the_first_swallowed_failure_is_the_cause(sqlite_kit: Kit) -> None:
    """What follows from it is not."""
    with sqlite_kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match="'first'") as caught:
            with session_manager():
                for name in ("first", "second"):
                    with pytest.raises(ValueError, match=name):
                        _fail_inside(name, ValueError(name))
    assert str(caught.value.__cause__) == "first"


def test_another_exception_after_a_swallowed_failure_is_raised_itself(sqlite_kit: Kit) -> None:
    """The owner does not want to commit any more, so nothing is unexpected."""
    with sqlite_kit.app.app_context(), pytest.raises(LookupError, match="the owner's"):
        with session_manager():
            with pytest.raises(ValueError, match="of the inner"):
                _fail_inside()
            raise LookupError("the owner's")


def test_a_swallowed_failure_of_a_service_deep_inside_reaches_the_owner(kit: Kit) -> None:
    """Through scopes that joined and ended well."""

    @transactional
    def service() -> None:
        raise ValueError("deep")

    with kit.app.app_context(), pytest.raises(UnexpectedRollbackError, match="'service'"):
        with session_manager(), session_manager():
            with session_manager(), pytest.raises(ValueError, match="deep"):
                service()


def test_a_failure_inside_a_savepoint_poisons_only_the_savepoint(kit: Kit) -> None:
    """The nested scope gets the error, the outer one commits."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="kept"))
        with pytest.raises(UnexpectedRollbackError, match="'nested'"):
            with session_manager(propagation="nested", name="nested"):
                session.add(kit.Item(name="lost"))
                with pytest.raises(ValueError, match="of the inner"):
                    _fail_inside()
                with pytest.raises(UnexpectedRollbackError, match="no more statements"):
                    session.flush()
        session.add(kit.Item(name="later"))
    assert kit.names() == ["kept", "later"]


def test_a_savepoint_inside_a_savepoint_is_poisoned_alone(kit: Kit) -> None:
    """The same one level deeper."""
    with kit.app.app_context(), session_manager() as session:
        with session_manager(propagation="nested"):
            session.add(kit.Item(name="kept"))
            with pytest.raises(KeyError), session_manager(propagation="nested"):
                session.add(kit.Item(name="lost"))
                raise KeyError
            session.add(kit.Item(name="later"))
    assert kit.names() == ["kept", "later"]


def test_a_flush_that_fails_and_is_swallowed_is_found(kit: Kit) -> None:
    """SQLAlchemy has rolled back by then; the owner learns of it instead of storing a rest."""
    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError) as caught, session_manager() as session:
            session.add_all([kit.Item(name="twice"), kit.Item(name="twice")])
            with pytest.raises(IntegrityError):
                session.flush()
        assert isinstance(caught.value.__cause__, IntegrityError)
        assert "test_a_flush_that_fails_and_is_swallowed_is_found" in str(caught.value)
        assert (kit.names(), kit.checkedout()) == ([], 0)


@pytest.fixture(params=BOTH_DRIVERS)
def postgresql_kit(request: pytest.FixtureRequest, make_kit: MakeKit) -> Kit:
    """A kit on PostgreSQL, through each driver."""
    return make_kit(request.param)


def _duplicate(kit: Kit) -> Any:
    return insert(kit.Item.__table__).values(name="first", amount=0)


def _raw(kit: Kit, session: Session) -> None:
    fairy = session.connection().connection
    fairy.cursor().execute("INSERT INTO item (name) VALUES ('first')")


SENDERS: dict[str, Callable[[Kit, Session], Any]] = {
    "session.execute": lambda kit, session: session.execute(_duplicate(kit)),
    "text": lambda kit, session: session.execute(text("SELECT 1 / 0")),
    "orm insert": lambda kit, session: session.execute(insert(kit.Item), [{"name": "first"}]),
    "connection": lambda kit, session: session.connection().execute(_duplicate(kit)),
    "driver sql": lambda kit, session: session.connection().exec_driver_sql("SELECT nothing"),
    "raw cursor": _raw,
}
each_sender = pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)


def _swallow(send: Callable[[Kit, Session], Any], kit: Kit, session: Session) -> None:
    try:
        send(kit, session)
    except Exception:  # noqa: BLE001 - the mistake that is tested; raw cursors raise the driver's own
        return
    raise AssertionError("the statement did not fail")


@each_sender
def test_a_swallowed_statement_is_found_before_commit(
    postgresql_kit: Kit, send: Callable[[Kit, Session], Any]
) -> None:
    """PostgreSQL would answer COMMIT with ROLLBACK and report no error."""
    kit = postgresql_kit
    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match="COMMIT was not sent"):
            with session_manager() as session:
                session.add(kit.Item(name="first"))
                session.flush()
                _swallow(send, kit, session)
        assert (kit.names(), kit.checkedout()) == ([], 0)


def test_a_swallowed_statement_rolls_back_after_another_scope_has_committed(
    postgresql_kit: Kit,
) -> None:
    """The outcome is that of this transaction: a hook for its commit does not run, one for its rollback does."""
    ran: list[str] = []
    with postgresql_kit.app.app_context():
        with session_manager() as session:
            session.add(postgresql_kit.Item(name="a"))
        with pytest.raises(UnexpectedRollbackError):
            with session_manager() as session:
                scope = current_scope()
                on_commit(ran.append, "committed")
                on_rollback(ran.append, "rolled back")
                with pytest.raises(SQLAlchemyError):
                    session.execute(text("SELECT * FROM missing"))
    assert (scope and scope.outcome, ran) == ("rolled_back", ["rolled back"])


def test_the_error_names_the_line_of_the_swallowed_statement(postgresql_kit: Kit) -> None:
    """And the database's own words, with the exception as the cause."""
    kit = postgresql_kit
    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match="'<lambda>'") as caught:
            with session_manager() as session:
                _swallow(SENDERS["text"], kit, session)
    line = SENDERS["text"].__code__.co_firstlineno
    assert f"test_outcome.py:{line}) was swallowed: division by zero" in str(caught.value)
    assert isinstance(caught.value.__cause__, SQLAlchemyError)


@each_sender
def test_a_swallowed_statement_inside_an_open_savepoint_is_found(
    postgresql_kit: Kit, send: Callable[[Kit, Session], Any]
) -> None:
    """Nobody rolled the savepoint back, so the transaction is still aborted."""
    kit = postgresql_kit
    with kit.app.app_context(), pytest.raises(UnexpectedRollbackError):
        with session_manager() as session:
            session.add(kit.Item(name="first"))
            session.begin_nested()
            _swallow(send, kit, session)
    assert kit.names() == []


@each_sender
def test_a_swallowed_statement_inside_a_savepoint_that_was_rolled_back_commits(
    postgresql_kit: Kit, send: Callable[[Kit, Session], Any]
) -> None:
    """That is what savepoints are for."""
    kit = postgresql_kit
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="first"))
        savepoint = session.begin_nested()
        _swallow(send, kit, session)
        savepoint.rollback()
        session.add(kit.Item(name="second"))
    assert kit.names() == ["first", "second"]


@each_sender
def test_a_nested_scope_that_swallowed_a_statement_is_rolled_back(
    postgresql_kit: Kit, send: Callable[[Kit, Session], Any]
) -> None:
    """Its savepoint cannot be released; the outer scope stays usable."""
    kit = postgresql_kit
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="first"))
        with pytest.raises(UnexpectedRollbackError):
            with session_manager(propagation="nested"):
                session.add(kit.Item(name="lost"))
                session.flush()
                _swallow(send, kit, session)
        session.add(kit.Item(name="second"))
    assert kit.names() == ["first", "second"]


@each_sender
def test_a_commit_by_hand_after_a_swallowed_statement_raises(
    postgresql_kit: Kit, send: Callable[[Kit, Session], Any]
) -> None:
    """Outside any scope too, and the session is usable after its rollback."""
    kit = postgresql_kit
    with kit.app.app_context():
        session = kit.db.session
        session.add(kit.Item(name="first"))
        session.flush()
        _swallow(send, kit, session())
        with pytest.raises(UnexpectedRollbackError, match="COMMIT was not sent"):
            session.commit()
        session.rollback()
        session.add(kit.Item(name="second"))
        session.commit()
    assert kit.names() == ["second"]


def test_stock_commits_nothing_in_silence(make_kit: MakeKit) -> None:
    """What the tests above guard against: without the extension ``commit()`` returns normally."""
    kit = make_kit("postgresql-psycopg", safe=False)
    with kit.app.app_context():
        kit.db.session.add(kit.Item(name="first"))
        kit.db.session.flush()
        _swallow(SENDERS["text"], kit, kit.db.session())
        kit.db.session.commit()
    assert kit.names() == []


@pytest.mark.parametrize("database_name", ["sqlite-file", "mariadb-pymysql"])
def test_a_swallowed_statement_commits_where_the_database_goes_on(
    make_kit: MakeKit, database_name: str
) -> None:
    """SQLite and MariaDB undo only the statement: ``except IntegrityError`` is right there."""
    kit = make_kit(database_name)
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="first"))
        session.flush()
        with pytest.raises(IntegrityError):
            session.execute(_duplicate(kit))
        session.add(kit.Item(name="second"))
    assert kit.names() == ["first", "second"]


@pytest.fixture
def mariadb_kit(make_kit: MakeKit) -> Kit:
    """A kit on MariaDB with the rows ``a`` and ``b``."""
    kit = make_kit("mariadb-pymysql")
    assert kit.database.observer is not None
    with kit.database.observer.connect() as connection:
        connection.execute(insert(kit.Item.__table__), [{"name": "a"}, {"name": "b"}])
    return kit


def _lock(connection: Any, name: str) -> None:
    connection.execute(
        text("UPDATE item SET amount = amount + 1 WHERE name = :name"), {"name": name}
    )


def _deadlock(kit: Kit, session: Session) -> None:
    """Let the database choose *session* as the victim of a deadlock: the other one has done more."""
    with kit.engine.connect() as other:
        for _ in range(20):
            _lock(other, "b")
        _lock(session, "a")
        waiting = threading.Thread(target=_lock, args=(other, "a"))
        waiting.start()
        try:
            _await_lock(kit)
            with pytest.raises(OperationalError, match="1213"):
                _lock(session, "b")
        finally:
            waiting.join()
            other.rollback()


def _await_lock(kit: Kit) -> None:
    """Return when the other connection waits for its lock."""
    assert kit.database.observer is not None
    # The table innodb_trx would be served from a cache that is not renewed while it is asked often.
    waits = (
        "SELECT CAST(variable_value AS INT) FROM information_schema.global_status"
        " WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'"
    )
    with kit.database.observer.connect() as connection:
        while not connection.scalar(text(waits)):
            pass


@pytest.mark.mariadb
def test_a_swallowed_deadlock_is_found_before_commit(mariadb_kit: Kit) -> None:
    """MariaDB has rolled the whole transaction back, and would store only what came later."""
    with mariadb_kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match="has rolled this transaction back"):
            with session_manager() as session:
                session.add(mariadb_kit.Item(name="early"))
                session.flush()
                _deadlock(mariadb_kit, session)
                session.add(mariadb_kit.Item(name="late"))
    assert mariadb_kit.names() == ["a", "b"]


@pytest.mark.mariadb
def test_a_swallowed_deadlock_inside_a_savepoint_is_found_too(mariadb_kit: Kit) -> None:
    """The savepoint is gone with the transaction, and the first error counts, not that of its rollback."""
    with mariadb_kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError) as caught, session_manager() as session:
            session.add(mariadb_kit.Item(name="early"))
            session.flush()
            with pytest.raises(OperationalError, match="1305"), session.begin_nested():
                _deadlock(mariadb_kit, session)
                raise KeyError
    assert "1213" in f"{caught.value} {caught.value.__cause__}"
    assert mariadb_kit.names() == ["a", "b"]


@pytest.mark.mariadb
def test_a_swallowed_deadlock_is_found_by_a_commit_by_hand(mariadb_kit: Kit) -> None:
    """Outside any scope too."""
    with mariadb_kit.app.app_context():
        session = mariadb_kit.db.session
        session.add(mariadb_kit.Item(name="early"))
        session.flush()
        _deadlock(mariadb_kit, session())
        session.add(mariadb_kit.Item(name="late"))
        with pytest.raises(UnexpectedRollbackError, match="has rolled this transaction back"):
            session.commit()
        session.rollback()
    assert mariadb_kit.names() == ["a", "b"]


OR_ROLLBACK = text("INSERT OR ROLLBACK INTO item (name, amount) VALUES ('first', 0)")


def test_a_swallowed_or_rollback_is_found_before_commit(sqlite_kit: Kit) -> None:
    """SQLite has rolled the whole transaction back, and would store only what came later."""
    with sqlite_kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match="has rolled this transaction back"):
            with session_manager() as session:
                session.add(sqlite_kit.Item(name="first"))
                session.flush()
                with pytest.raises(IntegrityError):
                    session.execute(OR_ROLLBACK)
                session.add(sqlite_kit.Item(name="late"))
    assert sqlite_kit.names() == []


def test_a_swallowed_or_rollback_is_found_by_a_commit_by_hand(sqlite_kit: Kit) -> None:
    """Outside any scope too."""
    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session
        session.add(sqlite_kit.Item(name="first"))
        session.flush()
        with pytest.raises(IntegrityError):
            session.execute(OR_ROLLBACK)
        session.add(sqlite_kit.Item(name="late"))
        with pytest.raises(UnexpectedRollbackError, match="has rolled this transaction back"):
            session.commit()
        session.rollback()
    assert sqlite_kit.names() == []


def test_an_or_rollback_as_the_only_write_is_found_too(sqlite_kit: Kit) -> None:
    """The statement that failed was the first that wrote."""
    with sqlite_kit.app.app_context():
        with session_manager() as session:
            session.add(sqlite_kit.Item(name="first"))
        with pytest.raises(UnexpectedRollbackError), session_manager() as session:
            with pytest.raises(IntegrityError):
                session.execute(OR_ROLLBACK)
            session.add(sqlite_kit.Item(name="late"))
    assert sqlite_kit.names() == ["first"]


def _terminate(session: Session) -> None:
    with pytest.raises(OperationalError):
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_a_lost_connection_does_not_hide_the_exception(postgresql_kit: Kit) -> None:
    """The exception leaves as it was, and no broken connection is in the pool."""
    error = ValueError("mine")
    with postgresql_kit.app.app_context():
        with pytest.raises(ValueError, match="mine") as caught, session_manager() as session:
            _terminate(session)
            raise error
        assert caught.value is error
        with session_manager() as session:
            session.add(postgresql_kit.Item(name="next"))
    assert postgresql_kit.names() == ["next"]


def _break(connection: Connection) -> None:
    """Let the server end the connection behind SQLAlchemy's back."""
    process = connection.scalar(text("SELECT pg_backend_pid()"))
    with connection.engine.connect() as other:
        other.execute(text(f"SELECT pg_terminate_backend({process}, 5000)"))


def test_a_rollback_that_fails_is_a_note_of_the_exception(postgresql_kit: Kit) -> None:
    """And the connection is thrown away, not pooled."""
    kit = postgresql_kit
    with kit.app.app_context():
        with pytest.raises(ValueError, match="mine") as caught, session_manager() as session:
            session.add(kit.Item(name="lost"))
            session.flush()
            broken = session.connection().connection.dbapi_connection
            _break(session.connection())
            raise ValueError("mine")
        (note,) = vars(caught.value)["__notes__"]
        assert note.startswith("The rollback of 'test_a_rollback_that_fails")
        assert "OperationalError" in note
        with session_manager() as session:
            assert session.connection().connection.dbapi_connection is not broken
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_a_rollback_that_fails_is_raised_where_the_block_ended_well(postgresql_kit: Kit) -> None:
    """A quiet rollback that did not work is not quiet."""
    kit = postgresql_kit
    with kit.app.app_context():
        with pytest.raises(OperationalError), session_manager() as session:
            _break(session.connection())
            _rollback_only()
        assert kit.checkedout() == 0


def test_a_savepoint_whose_rollback_fails_poisons_the_outer_scope(postgresql_kit: Kit) -> None:
    """Its failure could not be undone, so the transaction cannot be stored."""
    kit = postgresql_kit
    with kit.app.app_context(), pytest.raises(UnexpectedRollbackError):
        with session_manager() as session:
            session.add(kit.Item(name="lost"))
            with pytest.raises(ValueError, match="mine") as caught:
                with session_manager(propagation="nested"):
                    _break(session.connection())
                    raise ValueError("mine")
            assert "The rollback to the savepoint" in vars(caught.value)["__notes__"][0]
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_a_quiet_savepoint_whose_rollback_fails_is_loud(postgresql_kit: Kit) -> None:
    """The error leaves the nested scope."""
    kit = postgresql_kit
    with kit.app.app_context(), pytest.raises(OperationalError):
        with session_manager() as session, session_manager(propagation="nested"):
            _break(session.connection())
            _rollback_only()
    assert kit.checkedout() == 0


def test_the_outcome_is_known_from_every_scope(kit: Kit) -> None:
    """None while the transaction is open, then how it ended."""
    with kit.app.app_context():
        with session_manager():
            outer = current_scope()
            with session_manager():
                joined = current_scope()
            with pytest.raises(KeyError), session_manager(propagation="nested"):
                nested = current_scope()
                raise KeyError
            assert outer is not None
            assert joined is not None
            assert nested is not None
            assert (outer.outcome, joined.outcome, nested.outcome) == (None, None, "rolled_back")
        assert (outer.outcome, joined.outcome, nested.outcome) == (
            "committed",
            "committed",
            "rolled_back",
        )


def test_a_savepoint_that_its_scope_does_not_own_any_more_is_found(sqlite_kit: Kit) -> None:
    """Somebody rolled the scope's savepoint back by its session."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="kept"))
        with pytest.raises(TransactionOwnershipError, match="ended by somebody else"):
            with session_manager(propagation="nested"):
                savepoint = session.get_nested_transaction()
                assert savepoint is not None
                savepoint.rollback()
    assert sqlite_kit.names() == ["kept"]


def test_a_savepoint_that_is_left_open_inside_is_released(kit: Kit) -> None:
    """By the COMMIT of the scope, as by the database itself."""
    with kit.app.app_context(), session_manager() as session:
        session.begin_nested()
        session.add(kit.Item(name="kept"))
    assert kit.names() == ["kept"]


def test_hooks_see_the_outcome(sqlite_kit: Kit) -> None:
    """They run after it."""
    outcomes: list[str | None] = []
    with sqlite_kit.app.app_context():
        for register in (on_commit, on_rollback):
            with session_manager():
                scope = current_scope()
                assert scope is not None
                register(lambda each: outcomes.append(each.outcome), scope)
                if register is on_rollback:
                    scope.set_rollback_only()
    assert outcomes == ["committed", "rolled_back"]
