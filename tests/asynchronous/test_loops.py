"""An event loop has connections of its own, and they end with it."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext
from asgiref.wsgi import WsgiToAsgi
from flask import Flask
from sqlalchemy import NullPool, event, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.pool import QueuePool

from flask_safesession import SafeSession, session_manager
from flask_safesession._async import loops
from flask_safesession._async.sources import async_source

from ..kit import Kit, MakeKit
from .sessions import Census, inner_engine, run, session, state_of, store
from .test_sources import ASYNC_URLS, async_url

PID = text("SELECT pg_backend_pid()")


@pytest.fixture(params=[each for each in ASYNC_URLS if each[0] != "sqlite-file"])
def server_kit(request: pytest.FixtureRequest, make_kit: MakeKit, wanted: Any) -> Kit:
    """An app on each server, through each async driver."""
    name, driver = request.param
    url = async_url(wanted.get(name), driver)
    return make_kit(name, config={"SAFESESSION_ASYNC_ENGINES": {None: url}})


@pytest.fixture
def pg_kit(make_kit: MakeKit) -> Kit:
    """An app on PostgreSQL through asyncpg."""
    return make_kit("postgresql-psycopg2")


def pool_of(kit: Kit) -> QueuePool:
    """The pool of the app's async engine."""
    pool = inner_engine(kit).pool
    assert isinstance(pool, QueuePool)
    return pool


async def pid(kit: Kit) -> int:
    """The process of the server that a session talks to."""
    async with session(kit) as opened:
        return int(await opened.scalar(PID) or 0)


async def leak(kit: Kit) -> Any:
    """A session that nobody closes."""
    opened = session(kit)
    await opened.scalar(text("SELECT 1"))
    return opened


def test_a_loop_after_another(server_kit: Kit, recwarn: pytest.WarningsRecorder) -> None:
    """With a stock engine the second fails: its connection belongs to the first, which is closed."""
    census = Census(server_kit)
    for name in ("a", "b", "c"):
        run(server_kit, store, server_kit, name)
        assert census.count() == 0
    gc.collect()
    assert (server_kit.names(), list(recwarn)) == (["a", "b", "c"], [])


def test_async_views(server_kit: Kit, recwarn: pytest.WarningsRecorder) -> None:
    """Flask gives each request a loop, which asgiref closes."""
    census = Census(server_kit)

    @server_kit.app.post("/<name>")
    async def view(name: str) -> str:
        await store(server_kit, name)
        return ""

    for name in ("a", "b"):
        assert server_kit.client.post(f"/{name}").status_code == 200
    gc.collect()
    assert (server_kit.names(), census.count()) == (["a", "b"], 0)
    assert list(recwarn) == []


def test_a_loop_that_lasts(pg_kit: Kit) -> None:
    """It keeps its connection."""

    async def main() -> set[int]:
        return {await pid(pg_kit) for _ in range(3)}

    assert len(run(pg_kit, main)) == 1


def test_an_asgi_server(pg_kit: Kit) -> None:
    """Under ``WsgiToAsgi`` the views run on the server's own loop, which lasts: so does its connection."""

    @pg_kit.app.get("/")
    async def view() -> str:
        return str(await pid(pg_kit))

    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [],
        "server": ("localhost", 80),
        "scheme": "http",
    }

    async def main() -> set[bytes]:
        application = WsgiToAsgi(pg_kit.app)  # type: ignore[no-untyped-call]
        async with ThreadSensitiveContext():  # ends asgiref's thread
            return {await request(application) for _ in range(3)}

    async def request(application: Any) -> bytes:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await application(scope, receive, send)
        return b"".join(each.get("body", b"") for each in sent)

    census = Census(pg_kit)
    found = asyncio.run(main())
    assert (len(found), found.pop().isdigit(), census.count()) == (1, True, 0)


def test_two_loops_at_once(pg_kit: Kit) -> None:
    """Each has its own connection, also in the pool, and gives it back there."""
    found: dict[str, list[int]] = {}
    turn = threading.Barrier(2)

    async def main() -> list[int]:
        first = await pid(pg_kit)
        turn.wait(20)
        second = await pid(pg_kit)
        turn.wait(20)
        return [first, second]

    def work(name: str) -> None:
        found[name] = run(pg_kit, main)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    (first, again), (second, once_more) = found["a"], found["b"]
    assert (first == again, second == once_more, first != second) == (True, True, True)


@pytest.mark.parametrize("options", [{}, {"poolclass": NullPool, "pool_timeout": None}])
def test_many_loops_at_the_start(options: Any, make_kit: MakeKit) -> None:
    """The first connection teaches SQLAlchemy what the server can; no other goes on half-taught, or waits for ever.

    A stock engine says that a lock "is bound to a different event loop", or hangs.
    """
    kit = make_kit("mariadb-pymysql", engine_options=options)
    turn = threading.Barrier(6)

    def work(name: str) -> None:
        turn.wait(20)
        run(kit, store, kit, name)

    with ThreadPoolExecutor(6) as executor:
        list(executor.map(work, "abcdef"))
    assert kit.names() == list("abcdef")


@pytest.mark.parametrize("closes", [lambda loop: loop.close(), lambda loop: _close_inside(loop)])
def test_a_loop_that_is_closed_by_hand(closes: Callable[[Any], None], pg_kit: Kit) -> None:
    """Without ``asyncio.run()``, and even by a coroutine of another loop."""
    census = Census(pg_kit)
    loop = asyncio.new_event_loop()
    with pg_kit.app.app_context():
        loop.run_until_complete(store(pg_kit, "a"))
    assert census.count(1) == 1
    closes(loop)
    assert (census.count(), loop.is_closed()) == (0, True)
    loop.close()


def _close_inside(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        loop.close()

    asyncio.run(main())


def test_a_loop_that_runs_is_not_closed(pg_kit: Kit) -> None:
    """As without the extension."""

    async def main() -> None:
        await store(pg_kit, "a")
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            asyncio.get_running_loop().close()

    run(pg_kit, main)


def test_a_session_that_nobody_closed(server_kit: Kit) -> None:
    """Its connection ends with the loop, too."""
    census = Census(server_kit)
    opened = run(server_kit, leak, server_kit)
    assert census.count() == 0
    assert opened.sync_session.get_bind() is inner_engine(server_kit)


def test_a_connection_that_was_given_back(pg_kit: Kit, recwarn: pytest.WarningsRecorder) -> None:
    """Who still refers to it has nothing to do with it any more."""

    async def main() -> Any:
        async with session(pg_kit) as opened:
            return await (await opened.connection()).get_raw_connection()

    census = Census(pg_kit)
    kept = run(pg_kit, main)
    assert (census.count(), kept.is_valid, list(recwarn)) == (0, False, [])


def test_who_holds_a_connection(pg_kit: Kit) -> None:
    """The line of the coroutine is named, also where a session was opened by hand."""

    async def main() -> list[str]:
        outer = async_source(state_of(pg_kit)).outer["default"]
        async with session(pg_kit) as opened, outer.connect():
            await opened.scalar(PID)
            return [each.place for each in pg_kit.safe.statistics().holders]

    found = run(pg_kit, main)
    assert [each.partition(" ")[0] for each in found] == ["'main'", "'main'"]


def test_an_engine_of_two_apps(make_kit: MakeKit) -> None:
    """It is wired once."""
    kits = [make_kit(), make_kit()]
    factory = async_sessionmaker(
        create_async_engine(async_url(kits[0].database, "sqlite+aiosqlite"))
    )
    for kit in kits:
        kit.safe.include(factory)
        run(kit, store, kit, kit.app.name)
    assert inner_engine(kits[0]) is inner_engine(kits[1])
    assert len(kits[0].names()) == 2


def test_an_end_that_fails(make_kit: MakeKit, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the loop closed."""
    kit = make_kit("postgresql-psycopg")
    left: list[Any] = []

    def fail(connection: Any, _: Any) -> None:
        left.append(connection.driver_connection.pgconn)
        raise ZeroDivisionError

    async def main() -> None:
        await store(kit, "a")
        event.listen(inner_engine(kit), "close", fail, once=True)

    run(kit, main)
    assert "The connections of an event loop could not be closed." in caplog.text
    left[0].finish()


async def dispose(kit: Kit) -> None:
    await async_source(state_of(kit)).outer["default"].dispose()


def test_dispose(pg_kit: Kit) -> None:
    """``await engine.dispose()`` closes the connections of the loop that runs; the engine goes on."""
    census = Census(pg_kit)

    async def main() -> list[int]:
        await store(pg_kit, "a")
        counts = [census.count(1)]
        await dispose(pg_kit)
        counts.append(census.count())
        await store(pg_kit, "b")
        return [*counts, census.count(1)]

    assert run(pg_kit, main) == [1, 0, 1]
    inner_engine(pg_kit).dispose()
    run(pg_kit, store, pg_kit, "c")
    assert (pg_kit.names(), census.count()) == (["a", "b", "c"], 0)


def test_who_waits_for_the_first_connection(pg_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """When that gets no answer, it tries by itself; when it fails, the next one is the first."""
    monkeypatch.setattr(loops, "_PATIENCE", 0.01)
    reached, go_on = threading.Event(), threading.Event()
    calls: list[str] = []

    def wait(*_: Any) -> None:
        calls.append("connect")
        if len(calls) == 1:
            reached.set()
            assert go_on.wait(20)
            raise ConnectionRefusedError

    event.listen(inner_engine(pg_kit), "do_connect", wait)
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(run, pg_kit, store, pg_kit, "a")
        assert reached.wait(20)
        run(pg_kit, store, pg_kit, "b")
        go_on.set()
        with pytest.raises(ConnectionRefusedError):
            first.result(20)
    run(pg_kit, store, pg_kit, "c")
    assert pg_kit.names() == ["b", "c"]


def test_what_listens_to_the_engine(pg_kit: Kit) -> None:
    """It hears of the connections of all loops, also of those that are there already."""
    heard: list[str] = []

    async def main() -> None:
        await store(pg_kit, "a")
        event.listen(inner_engine(pg_kit), "checkout", lambda *_: heard.append("checkout"))
        await store(pg_kit, "b")

    run(pg_kit, main)
    run(pg_kit, store, pg_kit, "c")
    assert heard == ["checkout", "checkout"]


def test_the_read_outs(pg_kit: Kit) -> None:
    """Inside a loop they are those of its pool; outside those of all pools together."""
    pool = pool_of(pg_kit)
    counts: list[tuple[int, int, int]] = []

    def look() -> None:
        counts.append((pool.checkedout(), pool.checkedin(), pool.overflow()))

    async def main() -> None:
        look()
        async with session(pg_kit) as opened:
            await opened.scalar(PID)
            look()
            await asyncio.to_thread(look)
        look()

    run(pg_kit, main)
    look()
    assert counts == [(0, 0, -10), (1, 0, -9), (1, 0, -9), (0, 1, -9), (0, 0, -10)]


def test_a_pool_of_no_connections(make_kit: MakeKit) -> None:
    """``NullPool`` has none that could stay; what somebody forgot ends with the loop."""
    options = {"poolclass": NullPool, "pool_timeout": None}
    kit = make_kit("postgresql-psycopg2", engine_options=options)
    census = Census(kit)
    for name in ("a", "b"):
        run(kit, store, kit, name)
    opened = run(kit, leak, kit)
    assert (kit.names(), census.count(), opened.is_active) == (["a", "b"], 0, True)


def test_a_queue_pool(make_kit: MakeKit) -> None:
    """The pool of blocking engines is given in its own words."""
    kit = make_kit(engine_options={"poolclass": QueuePool})
    run(kit, store, kit, "a")
    assert type(pool_of(kit)).__name__ == "AsyncAdaptedQueuePool"


def test_connections_that_were_opened_before_the_app_saw_the_engine(pg_kit: Kit) -> None:
    """They stay those of their loop: the next session takes the idle one, and none is left on the server.

    Guarded against: a pool that is put in the place of the stock one forgets what that holds.
    """
    census = Census(pg_kit)
    engine = create_async_engine(inner_engine(pg_kit).url)
    app = Flask("late")

    async def main() -> list[int]:
        async with engine.connect() as connection:
            idents = [int(await connection.scalar(PID) or 0)]
        SafeSession(app, async_sessionmaker(engine))
        with app.app_context():
            async with session_manager() as opened:
                idents.append(int(await opened.scalar(PID) or 0))
        return idents

    first, second = asyncio.run(main())
    assert (first == second, census.count()) == (True, 0)
