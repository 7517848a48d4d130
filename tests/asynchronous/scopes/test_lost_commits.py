"""A COMMIT whose answer is lost, by each driver for coroutines: looked up where the database tells, else unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

from flask_safesession import current_scope, on_commit, on_rollback, on_unknown, session_manager
from flask_safesession._core.fate import Ticket, is_committed
from flask_safesession.errors import CommitOutcomeUnknownError

from ...conftest import Wanted
from ...databases import free_port
from ...proxies import Cut, Proxy, proxied
from .kit import DRIVERS, AsyncKit, make_async_kit

SERVERS = ("asyncpg", "psycopg", "asyncmy", "aiomysql")
POSTGRESQL = ("asyncpg", "psycopg")
CUTS: tuple[Cut, ...] = ("before", "during", "after")
STORES = {"before": [], "during": ["item"], "after": ["item"]}

MakeCuttable = Callable[..., tuple[AsyncKit, Proxy]]


@pytest.fixture
def make_cuttable(wanted: Wanted, async_kits: list[AsyncKit]) -> Iterator[MakeCuttable]:
    """Make kits that reach their server by way of a proxy."""
    with ExitStack() as stack:

        def make(driver: str, **options: Any) -> tuple[AsyncKit, Proxy]:
            via, proxy = stack.enter_context(proxied(wanted.get(DRIVERS[driver][0])))
            kit = make_async_kit(via, driver, options=options)
            async_kits.append(kit)
            return kit, proxy

        yield make


async def _store(kit: AsyncKit, ran: list[str]) -> str | None:
    scope = None
    try:
        async with session_manager() as session:
            scope = current_scope()
            on_commit(ran.append, "committed")
            on_rollback(ran.append, "rolled back")
            on_unknown(ran.append, "unknown")
            session.add(kit.Item(name="item"))
    finally:
        ran.append(str(scope and scope.outcome))
    return None


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("driver", SERVERS)
async def test_nobody_can_tell(make_cuttable: MakeCuttable, driver: str, cut: Cut) -> None:
    """The outcome is unknown, the hooks for it run, and no connection is out."""
    kit, proxy = make_cuttable(driver)
    ran: list[str] = []
    with kit.app.app_context():
        proxy.arm(cut)
        with pytest.raises(
            CommitOutcomeUnknownError, match="The connection broke while the COMMIT"
        ):
            await _store(kit, ran)
        assert ran == ["unknown", "unknown"]
        assert kit.checkedout() == 0


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("driver", POSTGRESQL)
async def test_postgresql_tells(make_cuttable: MakeCuttable, driver: str, cut: Cut) -> None:
    """With ``SAFESESSION_VERIFY_COMMIT`` each fate is learned, while other tasks go on."""
    kit, proxy = make_cuttable(driver, verify_commit=True)
    ran: list[str] = []
    ticks: list[int] = []

    async def tick() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0.005)

    with kit.app.app_context():
        ticking = asyncio.create_task(tick())
        proxy.arm(cut)
        try:
            await _store(kit, ran)
        except DBAPIError:
            assert cut == "before"
        ticking.cancel()
        expected = "rolled back" if cut == "before" else "committed"
        assert ran == [expected, expected.replace(" ", "_")]
        assert (kit.names(), kit.checkedout()) == (STORES[cut], 0)
        assert ticks


@pytest.mark.parametrize("driver", SERVERS)
async def test_a_commit_without_an_answer_ends(make_cuttable: MakeCuttable, driver: str) -> None:
    """After ``SAFESESSION_COMMIT_TIMEOUT``, though the line is open; a cancellation does not end it before."""
    kit, proxy = make_cuttable(driver, commit_timeout=1)
    ran: list[str] = []
    with kit.app.app_context():
        proxy.arm("silence before")
        begun = monotonic()
        with pytest.raises(CommitOutcomeUnknownError, match="had no answer within 1 s"):
            await _store(kit, ran)
        assert monotonic() - begun >= 1
        assert (ran, kit.checkedout()) == (["unknown", "unknown"], 0)


def test_a_server_that_does_not_come_back() -> None:
    """It is asked again and again, while other tasks go on, and in the end nothing is known."""
    engine = create_async_engine(f"postgresql+asyncpg://nobody@127.0.0.1:{free_port()}/nothing")
    asked = list[str]()
    event.listen(engine.sync_engine, "do_connect", lambda *_: asked.append("again"))
    ticket = Ticket("1", "server")
    fate = asyncio.run(greenlet_spawn(is_committed, ticket, engine.sync_engine, 0.5))
    assert (fate, len(asked) > 1) == (None, True)
