"""The seven propagations in coroutines: the table is that of the synchronous tests."""

from __future__ import annotations

from typing import Any

import pytest
from flask import g
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession import current_scope, errors, session_manager

from ...test_propagation import SUSPENDING, TABLE, BoomError, Seen
from .conftest import MakeKit
from .kit import AsyncKit


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
