"""The seven propagations: who owns the transaction, which session it has, and what is stored."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

import pytest
from flask import current_app, g
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session

from flask_safesession import Propagation, current_scope, errors, session_manager

from .databases import end_connections
from .kit import Kit, MakeKit

PROPAGATIONS: Final = tuple(each.value for each in Propagation)
SUSPENDING: Final = ("requires_new", "not_supported")


Counter = Callable[[int], AbstractContextManager[list[str]]]


class BoomError(Exception):
    """What the blocks of these tests fail with."""


@dataclass(frozen=True)
class Seen:
    """What one propagation does inside another.

    The outer block writes a row "outer", the inner one a row "inner"; a block without a scope
    commits by hand. An inner block that fails has its exception swallowed by the outer one.

    Attributes:
        owner: The block that owns the transaction of the inner one; None where there is none.
        session: Whether the inner block has the ``"same"`` session as the outer one, or another.
        fine: The errors of this package and then the rows, where both blocks end well.
        inner_fails: The same, where the inner block fails.
        outer_fails: The same, where the outer block fails after the inner one has ended well.
    """

    owner: str | None
    session: str | None
    fine: tuple[str, ...]
    inner_fails: tuple[str, ...]
    outer_fails: tuple[str, ...]


BOTH: Final = ("inner", "outer")
# fmt: off
JOINS: Final = Seen("outer", "same", BOTH, ("UnexpectedRollbackError",), ())
SAVEPOINT: Final = Seen("outer", "same", BOTH, ("outer",), ())
BESIDE: Final = Seen("inner", "other", BOTH, ("outer",), ("inner",))
SUSPENDS: Final = Seen(None, "other", BOTH, BOTH, ("inner",))
REFUSED: Final = Seen(
    None, None,
    ("TransactionActiveError", "outer"), ("TransactionActiveError", "outer"), ("TransactionActiveError",),
)
OWNS: Final = Seen("inner", "same", BOTH, ("outer",), BOTH)
WITHOUT: Final = Seen(None, "same", BOTH, BOTH, BOTH)
MISSING: Final = Seen(
    None, None,
    ("NoTransactionError", "outer"), ("NoTransactionError", "outer"), ("NoTransactionError", "outer"),
)
NOT_BEGUN: Final = Seen(
    None, None, ("NoTransactionError",), ("NoTransactionError",), ("NoTransactionError",)
)

# Down: the propagation of the outer block; across: the inner one's, in the same order.
IN_A_SCOPE: Final = (JOINS, BESIDE, SAVEPOINT, JOINS, JOINS, SUSPENDS, REFUSED)
IN_NONE: Final = (OWNS, OWNS, OWNS, MISSING, WITHOUT, WITHOUT, WITHOUT)
ROWS: Final = {
    "required": IN_A_SCOPE,
    "requires_new": IN_A_SCOPE,
    "nested": IN_A_SCOPE,
    "mandatory": (NOT_BEGUN,) * 7,
    "supports": IN_NONE,
    "not_supported": IN_NONE,
    "never": IN_NONE,
}
# fmt: on
TABLE: Final = {
    (outer, inner): seen
    for outer, row in ROWS.items()
    for inner, seen in zip(PROPAGATIONS, row, strict=True)
}


class Play:
    """One pair of propagations, played on a kit."""

    def __init__(self, kit: Kit, outer: str, inner: str) -> None:
        self._kit = kit
        self._outer = outer
        self._inner = inner
        self._owner: str | None = None
        self._session: str | None = None
        self._errors: list[str] = []

    def see(self) -> Seen:
        """Play it with each of the three ends."""
        ends = [self._end(each) for each in ("fine", "inner fails", "outer fails")]
        return Seen(self._owner, self._session, *ends)

    def _end(self, end: str) -> tuple[str, ...]:
        self._errors = []
        with self._kit.app.app_context():
            try:
                self._run_outer(end)
            except BoomError:
                pass
            except errors.TransactionError as error:
                self._errors.append(type(error).__name__)
        prefix = f"{self._outer} {self._inner} {end} "
        rows = [each.removeprefix(prefix) for each in self._kit.names() if each.startswith(prefix)]
        return (*self._errors, *rows)

    def _run_outer(self, end: str) -> None:
        with session_manager(propagation=self._outer, name="outer") as session:
            # SQLite has one writer at a time: the outer block writes when the inner one is done.
            waits = self._inner in SUSPENDING and self._kit.database.dialect == "sqlite"
            if not waits:
                self._write(session, end, "outer")
            try:
                self._run_inner(session, end)
            except BoomError:
                pass
            except errors.TransactionError as error:
                self._errors.append(type(error).__name__)
            if waits:
                self._write(session, end, "outer")
            if end == "outer fails":
                raise BoomError

    def _run_inner(self, outer: Session, end: str) -> None:
        with session_manager(propagation=self._inner, name="inner") as session:
            scope = current_scope()
            self._owner = None if scope is None else scope.owner.partition(" ")[0]
            self._session = "same" if session is outer else "other"
            self._write(session, end, "inner")
            if end == "inner fails":
                raise BoomError

    def _write(self, session: Session, end: str, row: str) -> None:
        session.add(self._kit.Item(name=f"{self._outer} {self._inner} {end} {row}"))
        if current_scope() is None:
            session.commit()
        else:
            session.flush()


def current_session(kit: Kit) -> Session:
    """The session that ``db.session`` stands for now."""
    session: Any = kit.session()
    found: Session = session() if isinstance(session, scoped_session) else session
    return found


@pytest.mark.parametrize(("outer", "inner"), TABLE)
def test_each_propagation_inside_each(kit: Kit, outer: str, inner: str) -> None:
    """The owner, the session and what is stored are those of the table, on each database."""
    assert Play(kit, outer, inner).see() == TABLE[outer, inner]


@pytest.mark.parametrize("outer", PROPAGATIONS)
def test_the_table_is_the_same_for_each_way_of_having_sessions(any_kit: Kit, outer: str) -> None:
    """Flask-SQLAlchemy, Lite, a sessionmaker and a scoped_session give the same answers."""
    row = tuple(Play(any_kit, outer, inner).see() for inner in PROPAGATIONS)
    assert row == ROWS[outer]


@pytest.mark.parametrize("propagation", ["required", "requires_new", "nested"])
def test_a_scope_that_begins_its_own_is_owned_by_its_block(any_kit: Kit, propagation: str) -> None:
    """With no scope open, three propagations begin one, and none is open after it."""
    with any_kit.app.app_context():
        with session_manager(propagation=propagation, name="mine") as session:
            scope = current_scope()
            assert scope is not None
            assert (scope.name, scope.root, scope.session) == ("mine", scope, session)
        assert current_scope() is None


def test_db_session_is_the_new_one_inside_requires_new(any_kit: Kit) -> None:
    """Code that reaches for ``db.session`` gets the session of the innermost transaction."""
    with any_kit.app.app_context(), session_manager() as outer:
        with session_manager(propagation="requires_new") as inner:
            assert inner is not outer
            assert current_session(any_kit) is inner
        assert current_session(any_kit) is outer


def test_db_session_is_restored_when_requires_new_fails(any_kit: Kit) -> None:
    """A failed inner transaction gives the outer session back, usable."""
    with any_kit.app.app_context(), session_manager() as outer:
        with pytest.raises(BoomError), session_manager(propagation="requires_new"):
            raise BoomError
        assert current_session(any_kit) is outer
        outer.add(any_kit.Item(name="outer"))
    assert any_kit.names() == ["outer"]


def test_g_and_the_app_stay_inside_requires_new(kit: Kit) -> None:
    """Only the session is new: ``g``, ``current_app`` and the context are the same."""
    with kit.app.app_context() as context, session_manager():
        g.user = "ann"
        with session_manager(propagation="requires_new"):
            assert g.user == "ann"
            assert current_app.app_context is not None
            g.user = "bob"
        assert (g.user, context.g.user) == ("bob", "bob")


def test_requires_new_has_a_connection_of_its_own(kit: Kit) -> None:
    """Two transactions at a time are two connections."""
    with kit.app.app_context(), session_manager() as outer:
        outer.execute(select(1))
        with session_manager(propagation="requires_new") as inner:
            first, second = outer.connection(), inner.connection()
            assert first.connection.dbapi_connection is not second.connection.dbapi_connection
            assert kit.checkedout() == 2
        assert kit.checkedout() == 1


def test_requires_new_does_not_see_what_the_outer_has_not_committed(kit: Kit) -> None:
    """The inner transaction is independent: the rows of the suspended one are not there yet."""
    read_only = kit.database.dialect == "sqlite"
    with kit.app.app_context(), session_manager() as outer:
        outer.add(kit.Item(name="outer"))
        outer.flush()
        with session_manager(propagation="requires_new", read_only=read_only) as inner:
            assert inner.scalars(select(kit.Item.name)).all() == []


def test_requires_new_stays_usable_inside_a_poisoned_scope(kit: Kit) -> None:
    """An error log can be written while the outer transaction can only be rolled back."""
    with kit.app.app_context(), pytest.raises(errors.UnexpectedRollbackError):
        with session_manager() as session:
            with pytest.raises(BoomError), session_manager():
                raise BoomError
            with session_manager(propagation="requires_new") as log:
                log.add(kit.Item(name="it failed"))
            session.add(kit.Item(name="outer"))
    assert kit.names() == ["it failed"]


def test_not_supported_suspends_and_restores(any_kit: Kit) -> None:
    """Inside, no scope is open and ``db.session`` is another; after it, both are back."""
    with any_kit.app.app_context(), session_manager() as outer:
        scope = current_scope()
        with session_manager(propagation="not_supported") as session:
            assert current_scope() is None
            assert session is not outer
        assert current_scope() is scope
        assert current_session(any_kit) is outer


def test_not_supported_restores_the_scope_after_an_error(kit: Kit) -> None:
    """Its exception goes on to the caller and does not poison the suspended scope."""
    with kit.app.app_context(), session_manager() as outer:
        with pytest.raises(BoomError), session_manager(propagation="not_supported"):
            raise BoomError
        assert current_session(kit) is outer
        outer.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


def test_not_supported_reports_what_nobody_committed(sqlite_kit: Kit) -> None:
    """A stock session would drop the row in silence; here the line of the ``add`` is named."""
    with sqlite_kit.app.app_context(), session_manager():
        warned = pytest.warns(errors.UncommittedChangesWarning, match=r"1 new object\(s\)")
        with warned, session_manager(propagation="not_supported") as session:
            session.add(sqlite_kit.Item(name="lost"))
    assert sqlite_kit.names() == []


def test_not_supported_without_work_needs_no_second_connection(make_kit: MakeKit) -> None:
    """A slow call outside the transaction is possible where the pool has one connection only."""
    kit = make_kit(engine_options={"pool_size": 1, "max_overflow": 0})
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="outer"))
        session.flush()
        with session_manager(propagation="not_supported"):
            assert kit.checkedout() == 1
    assert kit.names() == ["outer"]


def test_a_scope_inside_not_supported_owns_its_own_transaction(kit: Kit) -> None:
    """Below a suspended scope everything begins anew, at depth 1."""
    with kit.app.app_context(), session_manager(name="outer"):
        with session_manager(propagation="not_supported"), session_manager(name="inner") as session:
            scope = current_scope()
            assert scope is not None
            assert (scope.root.name, scope.depth) == ("inner", 1)
            session.add(kit.Item(name="inner"))
        assert kit.names() == ["inner"]


@pytest.mark.parametrize("propagation", ["supports", "not_supported", "never"])
def test_without_a_scope_the_caller_commits(any_kit: Kit, propagation: str) -> None:
    """Where no scope is open and none is asked for, nothing commits and nothing is refused."""
    with any_kit.app.app_context():
        with session_manager(propagation=propagation) as session:
            assert current_scope() is None
            session.add(any_kit.Item(name="by hand"))
            session.commit()
    assert any_kit.names() == ["by hand"]


def test_never_raises_before_the_body_runs(any_kit: Kit) -> None:
    """The message says who was called, inside whose transaction, and where to call it."""
    ran: list[str] = []
    wanted = r"'mail' \(.*\) has propagation=\"never\", .* 'owner' owns .*on_commit"
    with any_kit.app.app_context(), session_manager(name="owner"):
        with pytest.raises(errors.TransactionActiveError, match=wanted):
            with session_manager(propagation="never", name="mail"):
                ran.append("body")
    assert ran == []


def test_mandatory_says_who_needs_a_scope(any_kit: Kit) -> None:
    """The function that opened it is named where no name was given."""
    wanted = r"^'test_mandatory_says_who_needs_a_scope' \(.*test_propagation\.py:\d+\) has"
    with any_kit.app.app_context(), pytest.raises(errors.NoTransactionError, match=wanted):
        session_manager(propagation="mandatory").__enter__()


@pytest.mark.parametrize(
    "refused",
    [{"propagation": "never"}, {"isolation_level": "SERIALIZABLE"}, {"read_only": True}],
    ids=["never", "level", "read-only"],
)
def test_a_refused_join_does_not_poison(
    kit: Kit, refused: dict[str, Any], assert_statements: Counter
) -> None:
    """The caller may catch the refusal, and its own transaction goes on and commits; nothing is sent for it."""
    with kit.app.app_context():
        with session_manager() as session, assert_statements(1):
            with pytest.raises(errors.TransactionError), session_manager(**refused):
                pass
            session.add(kit.Item(name="after"))
            session.flush()
    assert kit.names() == ["after"]


def test_a_refused_savepoint_leaves_none_open(kit: Kit, assert_statements: Counter) -> None:
    """A nested scope with another isolation level is refused before SAVEPOINT is sent."""
    refused = session_manager(propagation="nested", isolation_level="SERIALIZABLE")
    with kit.app.app_context(), session_manager() as session, assert_statements(0):
        with pytest.raises(errors.IsolationMismatchError), refused:
            pass
        assert session.get_nested_transaction() is None


def test_a_savepoint_keeps_what_came_before_it(kit: Kit) -> None:
    """The failure of the inner scope takes its own rows and no others."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="before"))
        with pytest.raises(BoomError), session_manager(propagation="nested"):
            session.add(kit.Item(name="inside"))
            session.flush()
            raise BoomError
        session.add(kit.Item(name="after"))
    assert kit.names() == ["after", "before"]


def test_a_savepoint_after_a_read_belongs_to_the_outer_transaction(kit: Kit) -> None:
    """On stock pysqlite, RELEASE of a first SAVEPOINT commits; here the outer failure undoes it."""
    with kit.app.app_context(), pytest.raises(BoomError), session_manager() as session:
        session.scalars(select(kit.Item)).all()
        with session_manager(propagation="nested"):
            session.add(kit.Item(name="released"))
        raise BoomError
    assert kit.names() == []


def test_savepoints_within_savepoints_fail_alone(kit: Kit) -> None:
    """Only the rows of the innermost failing scope are undone."""
    with kit.app.app_context(), session_manager() as session:
        with session_manager(propagation="nested"):
            session.add(kit.Item(name="first"))
            with pytest.raises(BoomError), session_manager(propagation="nested"):
                session.add(kit.Item(name="second"))
                raise BoomError
    assert kit.names() == ["first"]


def test_a_failed_join_poisons_the_savepoint_and_not_the_transaction(kit: Kit) -> None:
    """The scope that owns the savepoint raises; the outer one catches that and goes on."""
    with kit.app.app_context(), session_manager() as session:
        with pytest.raises(errors.UnexpectedRollbackError) as caught:
            with session_manager(propagation="nested"):
                session.add(kit.Item(name="inside"))
                with pytest.raises(BoomError), session_manager():
                    raise BoomError
        session.add(kit.Item(name="outer"))
    assert isinstance(caught.value.__cause__, BoomError)
    assert kit.names() == ["outer"]


def test_set_rollback_only_of_a_savepoint_is_quiet(kit: Kit) -> None:
    """The block that owns the savepoint undoes its own work without an exception."""
    with kit.app.app_context(), session_manager() as session:
        with session_manager(propagation="nested"):
            session.add(kit.Item(name="inside"))
            _current().set_rollback_only()
        session.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


@pytest.mark.postgresql
def test_a_statement_swallowed_inside_a_savepoint(make_kit: MakeKit) -> None:
    """On stock PostgreSQL the RELEASE fails with 25P02; here the first failure is the cause."""
    kit = make_kit("postgresql-psycopg")
    with kit.app.app_context(), session_manager() as session:
        with pytest.raises(errors.UnexpectedRollbackError, match="nonsense"):
            with session_manager(propagation="nested"), pytest.raises(SQLAlchemyError):
                session.execute(text("SELECT nonsense"))
        session.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


def test_a_flush_swallowed_inside_a_savepoint(kit: Kit) -> None:
    """SQLAlchemy has rolled the savepoint back: the scope says so, and the outer one goes on."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="same"))
        with pytest.raises(errors.UnexpectedRollbackError, match="a flush in it failed") as caught:
            with session_manager(propagation="nested"):
                session.add(kit.Item(name="same"))
                with pytest.raises(IntegrityError):
                    session.flush()
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert kit.names() == ["same"]


def test_a_savepoint_that_somebody_else_ended(kit: Kit) -> None:
    """Stock SQLAlchemy commits the outer rows without a word; here the block says what happened."""
    with kit.app.app_context(), session_manager() as session:
        with pytest.raises(errors.TransactionOwnershipError, match="ended by somebody else"):
            with session_manager(propagation="nested"):
                session.add(kit.Item(name="inside"))
                savepoint = session.get_nested_transaction()
                assert savepoint is not None
                savepoint.rollback()
        session.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


def test_a_flush_that_fails_at_the_end_of_a_savepoint(kit: Kit) -> None:
    """The error of the database leaves the block that caused it, and the outer scope goes on."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="same"))
        with pytest.raises(IntegrityError), session_manager(propagation="nested"):
            session.add(kit.Item(name="same"))
        session.add(kit.Item(name="other"))
    assert kit.names() == ["other", "same"]


def test_a_listener_that_refuses_to_release(kit: Kit) -> None:
    """A ``before_commit`` listener that raises undoes the savepoint, and nothing else."""

    def refuse(_: Session) -> None:
        raise BoomError

    with kit.app.app_context(), session_manager() as session:
        event.listen(session, "before_commit", refuse, once=True)
        with pytest.raises(BoomError), session_manager(propagation="nested"):
            session.add(kit.Item(name="inside"))
            session.flush()
        session.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


def test_a_forgotten_savepoint_ends_with_the_scope_around_it(kit: Kit) -> None:
    """Stock SQLAlchemy leaves a ``begin_nested()`` open; here the block that owns it releases it."""
    with kit.app.app_context(), session_manager() as session:
        with session_manager(propagation="nested"):
            session.begin_nested()
            session.add(kit.Item(name="inside"))
        assert session.get_nested_transaction() is None
    assert kit.names() == ["inside"]


def test_an_error_keeps_its_place_when_the_savepoint_is_lost(sqlite_kit: Kit) -> None:
    """The failed rollback is a note on the exception that left the block, and dooms the outer."""
    with sqlite_kit.app.app_context(), pytest.raises(errors.UnexpectedRollbackError):
        with session_manager() as session:
            with pytest.raises(BoomError) as caught:
                with session_manager(propagation="nested"):
                    session.connection().connection.rollback()
                    raise BoomError
    assert "rollback to the savepoint" in getattr(caught.value, "__notes__", [""])[0]


@pytest.mark.parametrize(
    "server",
    [
        pytest.param("postgresql-psycopg", marks=pytest.mark.postgresql),
        pytest.param("mariadb-pymysql", marks=pytest.mark.mariadb),
    ],
)
def test_a_rollback_that_fails(make_kit: MakeKit, server: str) -> None:
    """Where no other error is on its way, that of the rollback is raised, and the pool is clean."""
    kit = make_kit(server)
    with kit.app.app_context(), pytest.raises(SQLAlchemyError), session_manager() as session:
        session.execute(select(1))
        _current().set_rollback_only()
        end_connections(kit.database)
    assert kit.checkedout() == 0


@pytest.mark.parametrize("quietly", [False, True], ids=["well", "rollback-only"])
def test_a_savepoint_that_cannot_be_rolled_back(sqlite_kit: Kit, quietly: bool) -> None:
    """Stock SQLAlchemy then commits what came later; here the whole transaction is rolled back."""
    with sqlite_kit.app.app_context(), pytest.raises(errors.UnexpectedRollbackError):
        with session_manager() as session:
            session.add(sqlite_kit.Item(name="outer"))
            with pytest.raises(SQLAlchemyError, match="no such savepoint"):
                with session_manager(propagation="nested"):
                    session.connection().connection.rollback()
                    if quietly:
                        _current().set_rollback_only()
    assert sqlite_kit.names() == []


def test_scopes_are_left_from_the_inside_out(any_kit: Kit) -> None:
    """The owner that leaves too early rolls back; stock sessions would store half of the work."""
    outer, inner = session_manager(name="first"), session_manager(name="second")
    with any_kit.app.app_context():
        outer.__enter__().add(any_kit.Item(name="half"))
        inner.__enter__()
        wanted = r"'first' .* left out of order, while the innermost one is 'second'"
        with pytest.raises(errors.TransactionActiveError, match=wanted):
            outer.__exit__(None, None, None)
        with pytest.raises(errors.TransactionActiveError, match="the innermost one is none"):
            inner.__exit__(None, None, None)
    assert any_kit.names() == []


@pytest.mark.parametrize("propagation", ["required", "nested"])
def test_an_inner_scope_that_is_left_too_early(kit: Kit, propagation: str) -> None:
    """It raises at its own exit, and the owner, which cannot know what was meant, rolls back."""
    early, last = session_manager(propagation=propagation), session_manager()
    with kit.app.app_context():
        with pytest.raises(errors.TransactionActiveError), session_manager() as session:
            session.add(kit.Item(name="outer"))
            early.__enter__()
            last.__enter__()
            with pytest.raises(errors.TransactionActiveError):
                early.__exit__(None, None, None)
            last.__exit__(None, None, None)
        assert current_scope() is None
    assert kit.names() == []


def test_a_new_transaction_that_is_left_too_early(kit: Kit) -> None:
    """Its rows are rolled back, and the suspended scope is open again and commits."""
    new, joined = session_manager(propagation="requires_new"), session_manager()
    with kit.app.app_context():
        with session_manager() as session:
            new.__enter__().add(kit.Item(name="new"))
            joined.__enter__()
            with pytest.raises(errors.TransactionActiveError):
                new.__exit__(None, None, None)
            with pytest.raises(errors.TransactionActiveError):
                joined.__exit__(None, None, None)
            session.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


def test_new_transactions_that_are_left_in_the_wrong_order(kit: Kit) -> None:
    """Nothing of a tangle is stored, each exit says so, and no connection stays out."""
    managers = [session_manager(propagation="requires_new") for _ in range(3)]
    with kit.app.app_context():
        for manager in managers:
            manager.__enter__().execute(select(1))
        for at in (1, 2, 0):
            with pytest.raises(errors.TransactionActiveError, match="out of order"):
                managers[at].__exit__(None, None, None)
        assert current_scope() is None
        assert kit.checkedout() == 0


def test_a_scope_in_a_waiting_generator(kit: Kit) -> None:
    """A generator that waits keeps its scope open; the error names the cause."""

    def rows() -> Generator[str, None, None]:
        with session_manager(name="rows") as session:
            session.add(kit.Item(name="generated"))
            yield "row"

    with kit.app.app_context():
        generator = rows()
        with pytest.raises(errors.TransactionActiveError, match="not in a generator that waits"):
            with session_manager(name="reader"):
                next(generator)
        with pytest.raises(errors.TransactionActiveError):
            generator.close()
    assert kit.names() == []


def test_the_depth_name_and_owner_of_the_current_scope(kit: Kit) -> None:
    """Joined and nested scopes have their own name and depth, and the owner of their root."""
    with kit.app.app_context(), session_manager(name="root"):
        assert (_current().depth, _current().name) == (1, "root")
        with session_manager(name="savepoint", propagation="nested"), session_manager():
            scope = _current()
            name = "test_the_depth_name_and_owner_of_the_current_scope"
            assert (scope.depth, scope.name, scope.attempt) == (3, name, 1)
            assert scope.owner.startswith("root (")
            assert f"{scope.root.place.where})" in scope.owner
            assert repr(scope).endswith("open>")


def test_the_outcome_is_known_when_the_scope_has_ended(kit: Kit) -> None:
    """It is None while the transaction is open; savepoints and joined scopes share the root's."""
    with kit.app.app_context(), session_manager():
        root = _current()
        with session_manager():
            joined = _current()
        with session_manager(propagation="nested"):
            nested = _current()
        with pytest.raises(BoomError), session_manager(propagation="nested"):
            failed = _current()
            raise BoomError
        assert [each.outcome for each in (root, joined, nested)] == [None, None, None]
    outcomes = [each.outcome for each in (root, joined, nested, failed)]
    assert outcomes == ["committed", "committed", "committed", "rolled_back"]
    assert repr(failed).endswith("rolled_back>")


def test_the_outcome_of_a_failed_scope(kit: Kit) -> None:
    """A scope that an exception left is rolled back, and the same exception goes on."""
    boom = BoomError()
    with kit.app.app_context(), pytest.raises(BoomError) as caught, session_manager():
        scope = _current()
        raise boom
    assert caught.value is boom
    assert scope.outcome == "rolled_back"


def test_a_scope_that_has_ended_takes_no_more_orders(kit: Kit) -> None:
    """``set_rollback_only()`` that comes too late raises; it would otherwise do nothing."""
    wanted = r"'set_rollback_only\(\)' was called on the scope of 'mine' .* ended \(committed\)"
    with kit.app.app_context():
        with session_manager(name="mine"):
            scope = _current()
        with pytest.raises(errors.NoTransactionError, match=wanted):
            scope.set_rollback_only()


def test_set_rollback_only_of_the_owner_is_quiet(any_kit: Kit) -> None:
    """The owner's own block may decide against its work; statements go on working."""
    with any_kit.app.app_context(), session_manager() as session:
        _current().set_rollback_only()
        session.add(any_kit.Item(name="no"))
        session.flush()
    assert any_kit.names() == []


def test_set_rollback_only_of_a_joined_scope_is_told_to_the_owner(any_kit: Kit) -> None:
    """The owner thinks that it has committed, so it gets an error that names the inner scope."""
    wanted = r"'inner' .* called 'set_rollback_only\(\)' inside the transaction of 'outer'"
    with any_kit.app.app_context():
        with pytest.raises(errors.UnexpectedRollbackError, match=wanted) as caught:
            with session_manager(name="outer") as session:
                session.add(any_kit.Item(name="no"))
                with session_manager(name="inner"):
                    _current().set_rollback_only()
                _current().set_rollback_only()
    assert caught.value.__cause__ is None
    assert any_kit.names() == []


def test_the_first_failure_is_the_cause(kit: Kit) -> None:
    """Several inner scopes may fail; the error tells about the one that came first."""
    first, second = BoomError("first"), BoomError("second")
    with kit.app.app_context(), pytest.raises(errors.UnexpectedRollbackError) as caught:
        with session_manager():
            for error in (first, second):
                with pytest.raises(BoomError), session_manager():
                    raise error
    assert caught.value.__cause__ is first


def test_pending_changes_of_earlier_code_are_adopted(any_kit: Kit) -> None:
    """What the same context added before the scope is committed by it, once."""
    with any_kit.app.app_context():
        with session_manager(propagation="supports") as session:
            session.add(any_kit.Item(name="pending"))
        with session_manager() as same:
            assert same is session
            same.add(any_kit.Item(name="inside"))
    assert any_kit.names() == ["inside", "pending"]


def test_a_begun_transaction_is_adopted(kit: Kit) -> None:
    """Statements that earlier code has sent end with the scope, here with its rollback."""
    with kit.app.app_context():
        session = current_session(kit)
        session.execute(insert(kit.Item).values(name="sent"))
        with pytest.raises(BoomError), session_manager():
            raise BoomError
    assert kit.names() == []


def test_an_adopted_transaction_has_one_owner(kit: Kit) -> None:
    """The connection that earlier code used is guarded too: nobody else may commit on it."""
    with kit.app.app_context():
        connection = current_session(kit).connection()
        with session_manager(timeout=5) as session:
            session.add(kit.Item(name="row"))
            session.flush()
            with pytest.raises(errors.TransactionOwnershipError, match=r"'commit\(\)'"):
                connection.commit()
    assert kit.names() == ["row"]


@pytest.mark.parametrize(
    "late", [{"read_only": True}, {"isolation_level": "SERIALIZABLE"}], ids=["read-only", "level"]
)
def test_what_is_asked_after_the_first_statement_comes_too_late(
    kit: Kit, late: dict[str, Any]
) -> None:
    """The databases would ignore or refuse it in their own words; the session stays usable."""
    with kit.app.app_context():
        current_session(kit).execute(select(1))
        with pytest.raises(errors.IsolationMismatchError, match="already sent statements"):
            with session_manager(**late):
                pass
        with session_manager() as session:
            session.add(kit.Item(name="row"))
    assert kit.names() == ["row"]


def test_what_is_asked_after_an_earlier_commit_is_not_late(kit: Kit) -> None:
    """A new transaction begins; what an ended one did does not count."""
    with kit.app.app_context():
        session = current_session(kit)
        session.execute(select(1))
        session.commit()
        with session_manager(isolation_level="SERIALIZABLE"):
            assert session.scalar(select(1)) == 1


def test_a_begin_block_around_a_scope(kit: Kit) -> None:
    """Stock SQLAlchemy says "a transaction is already begun"; we name the block to replace."""
    with kit.app.app_context():
        session = current_session(kit)
        with session.begin():
            wanted = r"opened inside 'with session\.begin\(\):', which owns the transaction"
            with pytest.raises(errors.TransactionActiveError, match=wanted), session_manager():
                pass
            session.add(kit.Item(name="by hand"))
    assert kit.names() == ["by hand"]


def test_a_nested_app_context_has_its_own_session_and_no_scope(any_kit: Kit) -> None:
    """A scope belongs to its app context: code in another one cannot join or end it."""
    with any_kit.app.app_context(), session_manager() as outer:
        with any_kit.app.app_context():
            assert current_scope() is None
            with session_manager() as inner:
                assert inner is not outer
                inner.add(any_kit.Item(name="inner"))
            assert any_kit.names() == ["inner"]
        assert current_session(any_kit) is outer


def test_a_transaction_that_sql_has_ended(kit: Kit) -> None:
    """Stock SQLAlchemy reports a commit; here the owner says that somebody else was first."""
    with (
        kit.app.app_context(),
        pytest.raises(errors.TransactionOwnershipError, match="ended by somebody else"),
    ):
        with session_manager() as session:
            session.add(kit.Item(name="row"))
            session.flush()
            transaction = session.connection().get_transaction()
            assert transaction is not None
            transaction.rollback()
    assert kit.names() == []


def test_a_swallowed_flush_failure_of_the_owner(kit: Kit) -> None:
    """SQLAlchemy has rolled back: the owner cannot commit, and names the line of the flush."""
    with (
        kit.app.app_context(),
        pytest.raises(errors.UnexpectedRollbackError, match="a flush in it failed") as caught,
    ):
        with session_manager() as session:
            session.add_all([kit.Item(name="same"), kit.Item(name="same")])
            with pytest.raises(IntegrityError):
                session.flush()
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert kit.names() == []


def _current() -> Any:
    scope = current_scope()
    assert scope is not None
    return scope
