"""The seven propagations in coroutines: the table is that of the synchronous tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from flask import current_app, g
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession import current_scope, errors, session_manager

from ...databases import end_connections
from ...test_propagation import (
    PROPAGATIONS,
    ROWS,
    SUSPENDING,
    TABLE,
    BoomError,
    Seen,
)
from .conftest import MakeKit
from .kit import AsyncKit, current, current_session, driver_connection


class Play:
    """One pair of propagations, played on a kit."""

    def __init__(self, kit: AsyncKit, outer: str, inner: str) -> None:
        self._kit = kit
        self._outer = outer
        self._inner = inner
        self._owner: str | None = None
        self._session: str | None = None
        self._errors: list[str] = []

    async def see(self) -> Seen:
        """Play it with each of the three ends."""
        ends = [await self._end(each) for each in ("fine", "inner fails", "outer fails")]
        return Seen(self._owner, self._session, *ends)

    async def _end(self, end: str) -> tuple[str, ...]:
        self._errors = []
        try:
            await self._run_outer(end)
        except BoomError:
            pass
        except errors.TransactionError as error:
            self._errors.append(type(error).__name__)
        prefix = f"{self._outer} {self._inner} {end} "
        rows = [each.removeprefix(prefix) for each in self._kit.names() if each.startswith(prefix)]
        return (*self._errors, *rows)

    async def _run_outer(self, end: str) -> None:
        async with session_manager(propagation=self._outer, name="outer") as session:
            # SQLite has one writer at a time: the outer block writes when the inner one is done.
            waits = self._inner in SUSPENDING and self._kit.database.dialect == "sqlite"
            if not waits:
                await self._write(session, end, "outer")
            try:
                await self._run_inner(session, end)
            except BoomError:
                pass
            except errors.TransactionError as error:
                self._errors.append(type(error).__name__)
            if waits:
                await self._write(session, end, "outer")
            if end == "outer fails":
                raise BoomError

    async def _run_inner(self, outer: AsyncSession, end: str) -> None:
        async with session_manager(propagation=self._inner, name="inner") as session:
            scope = current_scope()
            self._owner = None if scope is None else scope.owner.partition(" ")[0]
            self._session = "same" if session is outer else "other"
            await self._write(session, end, "inner")
            if end == "inner fails":
                raise BoomError

    async def _write(self, session: AsyncSession, end: str, row: str) -> None:
        session.add(self._kit.Item(name=f"{self._outer} {self._inner} {end} {row}"))
        if current_scope() is None:
            await session.commit()
        else:
            await session.flush()


async def _roll_back_underneath(session: AsyncSession) -> None:
    """As the driver's own call does, which no layer above hears of."""
    await (await driver_connection(session)).rollback()


@pytest.mark.parametrize(("outer", "inner"), TABLE)
async def test_each_propagation_inside_each(kit: AsyncKit, outer: str, inner: str) -> None:
    """The owner, the session and what is stored are those of the table, on each database."""
    assert await Play(kit, outer, inner).see() == TABLE[outer, inner]


@pytest.mark.parametrize("propagation", ["required", "requires_new", "nested"])
async def test_a_scope_that_begins_its_own_is_owned_by_its_block(
    sqlite_kit: AsyncKit, propagation: str
) -> None:
    """With no scope open, three propagations begin one, and none is open after it."""
    async with session_manager(propagation=propagation, name="mine") as session:
        scope = current_scope()
        assert scope is not None
        assert (scope.name, scope.root, scope.session) == ("mine", scope, session.sync_session)
    assert current_scope() is None


async def test_g_stays_inside_requires_new(sqlite_kit: AsyncKit) -> None:
    """Only the session is another one."""
    g.user = "me"
    async with session_manager(), session_manager(propagation="requires_new"):
        assert g.user == "me"


async def test_the_outer_session_is_back_after_requires_new_failed(kit: AsyncKit) -> None:
    """And usable."""
    async with session_manager() as outer:
        with pytest.raises(BoomError):
            async with session_manager(propagation="requires_new"):
                raise BoomError
        async with session_manager() as joined:
            assert joined is outer
        outer.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "asyncmy", "aiomysql", "aiosqlite"])
async def test_requires_new_without_a_connection_for_it(make_kit: MakeKit, driver: str) -> None:
    """The pool of one is found out before anybody waits; the outer scope goes on."""
    kit = make_kit(driver, engine_options={"pool_size": 1, "max_overflow": 0})
    with kit.app.app_context():
        async with session_manager() as session:
            session.add(kit.Item(name="outer"))
            await session.flush()
            with pytest.raises(errors.TransactionError) as caught:
                async with session_manager(propagation="requires_new") as inner:
                    await inner.execute(select(kit.Item))
    assert type(caught.value) is errors.PoolStarvationError
    assert kit.names() == ["outer"]


OPTIONS: list[dict[str, Any]] = [
    {"read_only": True},
    {"isolation_level": "SERIALIZABLE"},
    {"timeout": 5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
async def test_what_a_scope_asks_for(every_kit: AsyncKit, options: dict[str, Any]) -> None:
    """The database does it, and the next scope does not have it."""
    kit = every_kit
    async with session_manager(**options) as session:
        await session.execute(select(kit.Item))
    async with session_manager() as session:
        session.add(kit.Item(name="stored"))
    assert (kit.names(), kit.checkedout()) == (["stored"], 0)


async def test_read_only_refuses_a_write(every_kit: AsyncKit) -> None:
    """With an error of ours that is also the database's."""
    with pytest.raises(errors.ReadOnlyError, match="inside the read-only transaction that"):
        async with session_manager(read_only=True) as session:
            session.add(every_kit.Item(name="lost"))
            await session.flush()
    assert (every_kit.names(), every_kit.checkedout()) == ([], 0)


async def test_a_joined_scope_asks_for_another_level(kit: AsyncKit) -> None:
    """It is refused, and does not poison the outer one."""
    async with session_manager() as session:
        session.add(kit.Item(name="stored"))
        with pytest.raises(errors.IsolationMismatchError):
            async with session_manager(isolation_level="SERIALIZABLE"):
                pass
    assert kit.names() == ["stored"]


@pytest.mark.parametrize("outer", PROPAGATIONS)
async def test_the_table_is_the_same_for_each_way_of_having_sessions(
    any_kit: AsyncKit, outer: str
) -> None:
    """Flask-SQLAlchemy, Lite and an ``async_sessionmaker`` give the same answers."""
    row = tuple([await Play(any_kit, outer, inner).see() for inner in PROPAGATIONS])
    assert row == ROWS[outer]


async def test_db_session_is_the_new_one_inside_requires_new(any_kit: AsyncKit) -> None:
    """Code that reaches for ``db.session`` gets the session of the innermost transaction."""
    async with session_manager() as outer:
        async with session_manager(propagation="requires_new") as inner:
            assert inner is not outer
            assert await current_session() is inner
        assert await current_session() is outer


async def test_db_session_is_restored_when_requires_new_fails(any_kit: AsyncKit) -> None:
    """A failed inner transaction gives the outer session back, usable."""
    async with session_manager() as outer:
        with pytest.raises(BoomError):
            async with session_manager(propagation="requires_new"):
                raise BoomError
        assert await current_session() is outer
        outer.add(any_kit.Item(name="outer"))
    assert any_kit.names() == ["outer"]


async def test_g_and_the_app_stay_inside_requires_new(kit: AsyncKit) -> None:
    """Only the session is new: ``g``, ``current_app`` and the context are the same."""
    with kit.app.app_context() as context:
        async with session_manager():
            g.user = "ann"
            async with session_manager(propagation="requires_new"):
                assert g.user == "ann"
                assert current_app.app_context is not None
                g.user = "bob"
            assert (g.user, context.g.user) == ("bob", "bob")


async def test_requires_new_has_a_connection_of_its_own(kit: AsyncKit) -> None:
    """Two transactions at a time are two connections."""
    async with session_manager() as outer:
        await outer.execute(select(1))
        async with session_manager(propagation="requires_new") as inner:
            first, second = (await outer.connection(), await inner.connection())
            assert await driver_connection(first) is not await driver_connection(second)
            assert kit.checkedout() == 2
        assert kit.checkedout() == 1


async def test_requires_new_does_not_see_what_the_outer_has_not_committed(kit: AsyncKit) -> None:
    """The inner transaction is independent: the rows of the suspended one are not there yet."""
    read_only = kit.database.dialect == "sqlite"
    async with session_manager() as outer:
        outer.add(kit.Item(name="outer"))
        await outer.flush()
        async with session_manager(propagation="requires_new", read_only=read_only) as inner:
            assert (await inner.scalars(select(kit.Item.name))).all() == []


async def test_requires_new_stays_usable_inside_a_poisoned_scope(kit: AsyncKit) -> None:
    """An error log can be written while the outer transaction can only be rolled back."""
    with pytest.raises(errors.UnexpectedRollbackError):
        async with session_manager() as session:
            with pytest.raises(BoomError):
                async with session_manager():
                    raise BoomError
            async with session_manager(propagation="requires_new") as log:
                log.add(kit.Item(name="it failed"))
            session.add(kit.Item(name="outer"))
    assert kit.names() == ["it failed"]


async def test_not_supported_suspends_and_restores(any_kit: AsyncKit) -> None:
    """Inside, no scope is open and ``db.session`` is another; after it, both are back."""
    async with session_manager() as outer:
        scope = current_scope()
        async with session_manager(propagation="not_supported") as session:
            assert current_scope() is None
            assert session is not outer
        assert current_scope() is scope
        assert await current_session() is outer


async def test_not_supported_restores_the_scope_after_an_error(kit: AsyncKit) -> None:
    """Its exception goes on to the caller and does not poison the suspended scope."""
    async with session_manager() as outer:
        with pytest.raises(BoomError):
            async with session_manager(propagation="not_supported"):
                raise BoomError
        assert await current_session() is outer
        outer.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


async def test_not_supported_reports_what_nobody_committed(sqlite_kit: AsyncKit) -> None:
    """A stock session would drop the row in silence; here the line of the ``add`` is named."""
    async with session_manager():
        warned = pytest.warns(errors.UncommittedChangesWarning, match=r"1 new object\(s\)")
        with warned:
            async with session_manager(propagation="not_supported") as session:
                session.add(sqlite_kit.Item(name="lost"))
    assert sqlite_kit.names() == []


async def test_not_supported_without_work_needs_no_second_connection(make_kit: MakeKit) -> None:
    """A slow call outside the transaction is possible where the pool has one connection only."""
    kit = make_kit(engine_options={"pool_size": 1, "max_overflow": 0})
    with kit.app.app_context():
        async with session_manager() as session:
            session.add(kit.Item(name="outer"))
            await session.flush()
            async with session_manager(propagation="not_supported"):
                assert kit.checkedout() == 1
    assert kit.names() == ["outer"]


async def test_a_scope_inside_not_supported_owns_its_own_transaction(kit: AsyncKit) -> None:
    """Below a suspended scope everything begins anew, at depth 1."""
    async with session_manager(name="outer"):
        async with (
            session_manager(propagation="not_supported"),
            session_manager(name="inner") as session,
        ):
            scope = current_scope()
            assert scope is not None
            assert (scope.root.name, scope.depth) == ("inner", 1)
            session.add(kit.Item(name="inner"))
        assert kit.names() == ["inner"]


@pytest.mark.parametrize("propagation", ["supports", "not_supported", "never"])
async def test_without_a_scope_the_caller_commits(any_kit: AsyncKit, propagation: str) -> None:
    """Where no scope is open and none is asked for, nothing commits and nothing is refused."""
    async with session_manager(propagation=propagation) as session:
        assert current_scope() is None
        session.add(any_kit.Item(name="by hand"))
        await session.commit()
    assert any_kit.names() == ["by hand"]


async def test_never_raises_before_the_body_runs(any_kit: AsyncKit) -> None:
    """The message says who was called, inside whose transaction, and where to call it."""
    ran: list[str] = []
    wanted = r"'mail' \(.*\) has propagation=\"never\", .* 'owner' owns .*on_commit"
    async with session_manager(name="owner"):
        with pytest.raises(errors.TransactionActiveError, match=wanted):
            async with session_manager(propagation="never", name="mail"):
                ran.append("body")
    assert ran == []


async def test_mandatory_says_who_needs_a_scope(any_kit: AsyncKit) -> None:
    """The function that opened it is named where no name was given."""
    wanted = r"^'test_mandatory_says_who_needs_a_scope' \(.*test_propagation\.py:\d+\) has"
    with pytest.raises(errors.NoTransactionError, match=wanted):
        await session_manager(propagation="mandatory").__aenter__()


@pytest.mark.parametrize(
    "refused",
    [{"propagation": "never"}, {"isolation_level": "SERIALIZABLE"}, {"read_only": True}],
    ids=["never", "level", "read-only"],
)
async def test_a_refused_join_does_not_poison(kit: AsyncKit, refused: dict[str, Any]) -> None:
    """The caller may catch the refusal, and its own transaction goes on and commits."""
    async with session_manager() as session:
        with pytest.raises(errors.TransactionError):
            async with session_manager(**refused):
                pass
        session.add(kit.Item(name="after"))
        await session.flush()
    assert kit.names() == ["after"]


async def test_a_refused_savepoint_leaves_none_open(kit: AsyncKit) -> None:
    """A nested scope with another isolation level is refused before SAVEPOINT is sent."""
    refused = session_manager(propagation="nested", isolation_level="SERIALIZABLE")
    async with session_manager() as session:
        with pytest.raises(errors.IsolationMismatchError):
            async with refused:
                pass
        assert session.get_nested_transaction() is None


async def test_a_savepoint_keeps_what_came_before_it(kit: AsyncKit) -> None:
    """The failure of the inner scope takes its own rows and no others."""
    async with session_manager() as session:
        session.add(kit.Item(name="before"))
        with pytest.raises(BoomError):
            async with session_manager(propagation="nested"):
                session.add(kit.Item(name="inside"))
                await session.flush()
                raise BoomError
        session.add(kit.Item(name="after"))
    assert kit.names() == ["after", "before"]


async def test_a_savepoint_after_a_read_belongs_to_the_outer_transaction(kit: AsyncKit) -> None:
    """On stock pysqlite, RELEASE of a first SAVEPOINT commits; here the outer failure undoes it."""
    with pytest.raises(BoomError):
        async with session_manager() as session:
            (await session.scalars(select(kit.Item))).all()
            async with session_manager(propagation="nested"):
                session.add(kit.Item(name="released"))
            raise BoomError
    assert kit.names() == []


async def test_savepoints_within_savepoints_fail_alone(kit: AsyncKit) -> None:
    """Only the rows of the innermost failing scope are undone."""
    async with session_manager() as session:
        async with session_manager(propagation="nested"):
            session.add(kit.Item(name="first"))
            with pytest.raises(BoomError):
                async with session_manager(propagation="nested"):
                    session.add(kit.Item(name="second"))
                    raise BoomError
    assert kit.names() == ["first"]


async def test_a_failed_join_poisons_the_savepoint_and_not_the_transaction(kit: AsyncKit) -> None:
    """The scope that owns the savepoint raises; the outer one catches that and goes on."""
    async with session_manager() as session:
        with pytest.raises(errors.UnexpectedRollbackError) as caught:
            async with session_manager(propagation="nested"):
                session.add(kit.Item(name="inside"))
                with pytest.raises(BoomError):
                    async with session_manager():
                        raise BoomError
        session.add(kit.Item(name="outer"))
    assert isinstance(caught.value.__cause__, BoomError)
    assert kit.names() == ["outer"]


async def test_set_rollback_only_of_a_savepoint_is_quiet(kit: AsyncKit) -> None:
    """The block that owns the savepoint undoes its own work without an exception."""
    async with session_manager() as session:
        async with session_manager(propagation="nested"):
            session.add(kit.Item(name="inside"))
            current().set_rollback_only()
        session.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


@pytest.mark.postgresql
async def test_a_statement_swallowed_inside_a_savepoint(make_kit: MakeKit) -> None:
    """On stock PostgreSQL the RELEASE fails with 25P02; here the first failure is the cause."""
    kit = make_kit("asyncpg")
    with kit.app.app_context():
        async with session_manager() as session:
            with pytest.raises(errors.UnexpectedRollbackError, match="nonsense"):
                async with session_manager(propagation="nested"):
                    with pytest.raises(SQLAlchemyError):
                        await session.execute(text("SELECT nonsense"))
            session.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


async def test_a_flush_swallowed_inside_a_savepoint(kit: AsyncKit) -> None:
    """SQLAlchemy has rolled the savepoint back: the scope says so, and the outer one goes on."""
    async with session_manager() as session:
        session.add(kit.Item(name="same"))
        with pytest.raises(errors.UnexpectedRollbackError, match="a flush in it failed") as caught:
            async with session_manager(propagation="nested"):
                session.add(kit.Item(name="same"))
                with pytest.raises(IntegrityError):
                    await session.flush()
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert kit.names() == ["same"]


async def test_a_savepoint_that_somebody_else_ended(kit: AsyncKit) -> None:
    """Stock SQLAlchemy commits the outer rows without a word; here the block says what happened."""
    async with session_manager() as session:
        with pytest.raises(errors.TransactionOwnershipError, match="ended by somebody else"):
            async with session_manager(propagation="nested"):
                session.add(kit.Item(name="inside"))
                savepoint = session.get_nested_transaction()
                assert savepoint is not None
                await savepoint.rollback()
        session.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


async def test_a_flush_that_fails_at_the_end_of_a_savepoint(kit: AsyncKit) -> None:
    """The error of the database leaves the block that caused it, and the outer scope goes on."""
    async with session_manager() as session:
        session.add(kit.Item(name="same"))
        with pytest.raises(IntegrityError):
            async with session_manager(propagation="nested"):
                session.add(kit.Item(name="same"))
        session.add(kit.Item(name="other"))
    assert kit.names() == ["other", "same"]


async def test_a_listener_that_refuses_to_release(kit: AsyncKit) -> None:
    """A ``before_commit`` listener that raises undoes the savepoint, and nothing else."""

    def refuse(_: AsyncSession) -> None:
        raise BoomError

    async with session_manager() as session:
        event.listen(session.sync_session, "before_commit", refuse, once=True)
        with pytest.raises(BoomError):
            async with session_manager(propagation="nested"):
                session.add(kit.Item(name="inside"))
                await session.flush()
        session.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


async def test_a_forgotten_savepoint_ends_with_the_scope_around_it(kit: AsyncKit) -> None:
    """Stock SQLAlchemy leaves a ``begin_nested()`` open; here the block that owns it releases it."""
    async with session_manager() as session:
        async with session_manager(propagation="nested"):
            await session.begin_nested()
            session.add(kit.Item(name="inside"))
        assert session.get_nested_transaction() is None
    assert kit.names() == ["inside"]


async def test_an_error_keeps_its_place_when_the_savepoint_is_lost(sqlite_kit: AsyncKit) -> None:
    """The failed rollback is a note on the exception that left the block, and dooms the outer."""
    with pytest.raises(errors.UnexpectedRollbackError):
        async with session_manager() as session:
            with pytest.raises(BoomError) as caught:
                async with session_manager(propagation="nested"):
                    await _roll_back_underneath(session)
                    raise BoomError
    assert "rollback to the savepoint" in getattr(caught.value, "__notes__", [""])[0]


@pytest.mark.parametrize(
    "server",
    [
        pytest.param("asyncpg", marks=pytest.mark.postgresql),
        pytest.param("asyncmy", marks=pytest.mark.mariadb),
    ],
)
async def test_a_rollback_that_fails(make_kit: MakeKit, server: str) -> None:
    """Where no other error is on its way, that of the rollback is raised, and the pool is clean."""
    kit = make_kit(server)
    with kit.app.app_context(), pytest.raises(SQLAlchemyError):
        async with session_manager() as session:
            await session.execute(select(1))
            current().set_rollback_only()
            end_connections(kit.database)
    assert kit.checkedout() == 0


@pytest.mark.parametrize("quietly", [False, True], ids=["well", "rollback-only"])
async def test_a_savepoint_that_cannot_be_rolled_back(sqlite_kit: AsyncKit, quietly: bool) -> None:
    """Stock SQLAlchemy then commits what came later; here the whole transaction is rolled back."""
    with pytest.raises(errors.UnexpectedRollbackError):
        async with session_manager() as session:
            session.add(sqlite_kit.Item(name="outer"))
            with pytest.raises(SQLAlchemyError, match="no such savepoint"):
                async with session_manager(propagation="nested"):
                    await _roll_back_underneath(session)
                    if quietly:
                        current().set_rollback_only()
    assert sqlite_kit.names() == []


async def test_scopes_are_left_from_the_inside_out(any_kit: AsyncKit) -> None:
    """The owner that leaves too early rolls back; stock sessions would store half of the work."""
    outer, inner = (session_manager(name="first"), session_manager(name="second"))
    (await outer.__aenter__()).add(any_kit.Item(name="half"))
    await inner.__aenter__()
    wanted = "'first' .* left out of order, while the innermost one is 'second'"
    with pytest.raises(errors.TransactionActiveError, match=wanted):
        await outer.__aexit__(None, None, None)
    with pytest.raises(errors.TransactionActiveError, match="the innermost one is none"):
        await inner.__aexit__(None, None, None)
    assert any_kit.names() == []


@pytest.mark.parametrize("propagation", ["required", "nested"])
async def test_an_inner_scope_that_is_left_too_early(kit: AsyncKit, propagation: str) -> None:
    """It raises at its own exit, and the owner, which cannot know what was meant, rolls back."""
    early, last = (session_manager(propagation=propagation), session_manager())
    with pytest.raises(errors.TransactionActiveError):
        async with session_manager() as session:
            session.add(kit.Item(name="outer"))
            await early.__aenter__()
            await last.__aenter__()
            with pytest.raises(errors.TransactionActiveError):
                await early.__aexit__(None, None, None)
            await last.__aexit__(None, None, None)
    assert current_scope() is None
    assert kit.names() == []


async def test_a_new_transaction_that_is_left_too_early(kit: AsyncKit) -> None:
    """Its rows are rolled back, and the suspended scope is open again and commits."""
    new, joined = (session_manager(propagation="requires_new"), session_manager())
    async with session_manager() as session:
        (await new.__aenter__()).add(kit.Item(name="new"))
        await joined.__aenter__()
        with pytest.raises(errors.TransactionActiveError):
            await new.__aexit__(None, None, None)
        with pytest.raises(errors.TransactionActiveError):
            await joined.__aexit__(None, None, None)
        session.add(kit.Item(name="outer"))
    assert kit.names() == ["outer"]


async def test_new_transactions_that_are_left_in_the_wrong_order(kit: AsyncKit) -> None:
    """Nothing of a tangle is stored, each exit says so, and no connection stays out."""
    managers = [session_manager(propagation="requires_new") for _ in range(3)]
    for manager in managers:
        await (await manager.__aenter__()).execute(select(1))
    for at in (1, 2, 0):
        with pytest.raises(errors.TransactionActiveError, match="out of order"):
            await managers[at].__aexit__(None, None, None)
    assert current_scope() is None
    assert kit.checkedout() == 0


async def test_a_scope_in_a_waiting_generator(kit: AsyncKit) -> None:
    """A generator that waits keeps its scope open; the error names the cause."""

    async def rows() -> AsyncGenerator[str, None]:
        async with session_manager(name="rows") as session:
            session.add(kit.Item(name="generated"))
            yield "row"

    generator = rows()
    with pytest.raises(errors.TransactionActiveError, match="not in a generator that waits"):
        async with session_manager(name="reader"):
            await anext(generator)
    with pytest.raises(errors.TransactionActiveError):
        await generator.aclose()
    assert kit.names() == []


async def test_the_depth_name_and_owner_of_the_current_scope(kit: AsyncKit) -> None:
    """Joined and nested scopes have their own name and depth, and the owner of their root."""
    async with session_manager(name="root"):
        assert (current().depth, current().name) == (1, "root")
        async with session_manager(name="savepoint", propagation="nested"), session_manager():
            scope = current()
            name = "test_the_depth_name_and_owner_of_the_current_scope"
            assert (scope.depth, scope.name, scope.attempt) == (3, name, 1)
            assert scope.owner.startswith("root (")
            assert f"{scope.root.place.where})" in scope.owner
            assert repr(scope).endswith("open>")


async def test_the_outcome_is_known_when_the_scope_has_ended(kit: AsyncKit) -> None:
    """It is None while the transaction is open; savepoints and joined scopes share the root's."""
    async with session_manager():
        root = current()
        async with session_manager():
            joined = current()
        async with session_manager(propagation="nested"):
            nested = current()
        with pytest.raises(BoomError):
            async with session_manager(propagation="nested"):
                failed = current()
                raise BoomError
        assert [each.outcome for each in (root, joined, nested)] == [None, None, None]
    outcomes = [each.outcome for each in (root, joined, nested, failed)]
    assert outcomes == ["committed", "committed", "committed", "rolled_back"]
    assert repr(failed).endswith("rolled_back>")


async def test_the_outcome_of_a_failed_scope(kit: AsyncKit) -> None:
    """A scope that an exception left is rolled back, and the same exception goes on."""
    boom = BoomError()
    with pytest.raises(BoomError) as caught:
        async with session_manager():
            scope = current()
            raise boom
    assert caught.value is boom
    assert scope.outcome == "rolled_back"


async def test_a_scope_that_has_ended_takes_no_more_orders(kit: AsyncKit) -> None:
    """``set_rollback_only()`` that comes too late raises; it would otherwise do nothing."""
    wanted = r"'set_rollback_only\(\)' was called on the scope of 'mine' .* ended \(committed\)"
    async with session_manager(name="mine"):
        scope = current()
    with pytest.raises(errors.NoTransactionError, match=wanted):
        scope.set_rollback_only()


async def test_set_rollback_only_of_the_owner_is_quiet(any_kit: AsyncKit) -> None:
    """The owner's own block may decide against its work; statements go on working."""
    async with session_manager() as session:
        current().set_rollback_only()
        session.add(any_kit.Item(name="no"))
        await session.flush()
    assert any_kit.names() == []


async def test_set_rollback_only_of_a_joined_scope_is_told_to_the_owner(any_kit: AsyncKit) -> None:
    """The owner thinks that it has committed, so it gets an error that names the inner scope."""
    wanted = r"'inner' .* called 'set_rollback_only\(\)' inside the transaction of 'outer'"
    with pytest.raises(errors.UnexpectedRollbackError, match=wanted) as caught:
        async with session_manager(name="outer") as session:
            session.add(any_kit.Item(name="no"))
            async with session_manager(name="inner"):
                current().set_rollback_only()
            current().set_rollback_only()
    assert caught.value.__cause__ is None
    assert any_kit.names() == []


async def test_the_first_failure_is_the_cause(kit: AsyncKit) -> None:
    """Several inner scopes may fail; the error tells about the one that came first."""
    first, second = (BoomError("first"), BoomError("second"))
    with pytest.raises(errors.UnexpectedRollbackError) as caught:
        async with session_manager():
            for error in (first, second):
                with pytest.raises(BoomError):
                    async with session_manager():
                        raise error
    assert caught.value.__cause__ is first


async def test_pending_changes_of_earlier_code_are_adopted(any_kit: AsyncKit) -> None:
    """What the same context added before the scope is committed by it, once."""
    async with session_manager(propagation="supports") as session:
        session.add(any_kit.Item(name="pending"))
    async with session_manager() as same:
        assert same is session
        same.add(any_kit.Item(name="inside"))
    assert any_kit.names() == ["inside", "pending"]


async def test_a_begun_transaction_is_adopted(kit: AsyncKit) -> None:
    """Statements that earlier code has sent end with the scope, here with its rollback."""
    async with session_manager(propagation="supports") as session:
        await session.execute(insert(kit.Item).values(name="sent"))
        with pytest.raises(BoomError):
            async with session_manager():
                raise BoomError
    assert kit.names() == []


async def test_an_adopted_transaction_has_one_owner(kit: AsyncKit) -> None:
    """The connection that earlier code used is guarded too: nobody else may commit on it."""
    async with session_manager(propagation="supports") as session:
        connection = await session.connection()
        async with session_manager(timeout=5):
            session.add(kit.Item(name="row"))
            await session.flush()
            with pytest.raises(errors.TransactionOwnershipError, match=r"'commit\(\)'"):
                await connection.commit()
    assert kit.names() == ["row"]


@pytest.mark.parametrize(
    "late", [{"read_only": True}, {"isolation_level": "SERIALIZABLE"}], ids=["read-only", "level"]
)
async def test_what_is_asked_after_the_first_statement_comes_too_late(
    kit: AsyncKit, late: dict[str, Any]
) -> None:
    """The databases would ignore or refuse it in their own words; the session stays usable."""
    async with session_manager(propagation="supports") as session:
        await session.execute(select(1))
        with pytest.raises(errors.IsolationMismatchError, match="already sent statements"):
            async with session_manager(**late):
                pass
        async with session_manager():
            session.add(kit.Item(name="row"))
    assert kit.names() == ["row"]


async def test_what_is_asked_after_an_earlier_commit_is_not_late(kit: AsyncKit) -> None:
    """A new transaction begins; what an ended one did does not count."""
    async with session_manager(propagation="supports") as session:
        await session.execute(select(1))
        await session.commit()
        async with session_manager(isolation_level="SERIALIZABLE"):
            assert await session.scalar(select(1)) == 1


async def test_a_begin_block_around_a_scope(kit: AsyncKit) -> None:
    """Stock SQLAlchemy says "a transaction is already begun"; we name the block to replace."""
    async with session_manager(propagation="supports") as session, session.begin():
        wanted = r"opened inside 'with session\.begin\(\):', which owns the transaction"
        with pytest.raises(errors.TransactionActiveError, match=wanted):
            async with session_manager():
                pass
        session.add(kit.Item(name="by hand"))
    assert kit.names() == ["by hand"]


async def test_a_nested_app_context_has_its_own_session_and_no_scope(kit: AsyncKit) -> None:
    """A scope belongs to its app context: code in another one cannot join or end it."""
    with kit.app.app_context():
        async with session_manager() as outer:
            with kit.app.app_context():
                assert current_scope() is None
                async with session_manager() as inner:
                    assert inner is not outer
                    inner.add(kit.Item(name="inner"))
                assert kit.names() == ["inner"]
            assert await current_session() is outer


async def test_a_transaction_that_sql_has_ended(kit: AsyncKit) -> None:
    """Stock SQLAlchemy reports a commit; here the owner says that somebody else was first."""
    with pytest.raises(errors.TransactionOwnershipError, match="ended by somebody else"):
        async with session_manager() as session:
            session.add(kit.Item(name="row"))
            await session.flush()
            transaction = (await session.connection()).get_transaction()
            assert transaction is not None
            await transaction.rollback()
    assert kit.names() == []


async def test_a_swallowed_flush_failure_of_the_owner(kit: AsyncKit) -> None:
    """SQLAlchemy has rolled back: the owner cannot commit, and names the line of the flush."""
    with pytest.raises(errors.UnexpectedRollbackError, match="a flush in it failed") as caught:
        async with session_manager() as session:
            session.add_all([kit.Item(name="same"), kit.Item(name="same")])
            with pytest.raises(IntegrityError):
                await session.flush()
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert kit.names() == []
