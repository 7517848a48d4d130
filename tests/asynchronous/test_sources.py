"""Where async sessions come from."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import flask_sqlalchemy_lite
import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from flask_safesession import SafeSession, errors, session_manager
from flask_safesession._async import drivers
from flask_safesession._async.sources import async_factory
from flask_safesession._config import Settings
from flask_safesession._core.guard import GuardMixin

from ..conftest import Wanted
from ..databases import Database
from ..kit import Kit, MakeKit
from .sessions import inner_engine, run, session, state_of, store

TWINS = {
    "sqlite-file": "aiosqlite",
    "postgresql-psycopg": "psycopg",
    "postgresql-psycopg2": "asyncpg",
    "mariadb-pymysql": "asyncmy",
    "mariadb-mysqlclient": "asyncmy",
}
ASYNC_URLS = [
    ("sqlite-file", "sqlite+aiosqlite"),
    ("postgresql-psycopg", "postgresql+asyncpg"),
    ("postgresql-psycopg", "postgresql+psycopg"),
    ("mariadb-pymysql", "mysql+asyncmy"),
    ("mariadb-pymysql", "mariadb+aiomysql"),
]


def async_url(database: Database, driver: str) -> str:
    return f"{driver}://{database.url.partition('://')[2]}"


def refused(kit: Kit) -> str:
    """Why the app gives no async session."""
    with pytest.raises((ValueError, errors.NoAppError)) as caught:
        run(kit, store, kit, "a")
    return str(caught.value)


@pytest.mark.parametrize("name", TWINS)
def test_flask_sqlalchemy(name: str, make_kit: MakeKit) -> None:
    """Its database is reached by the async twin of its driver."""
    kit = make_kit(name)
    run(kit, store, kit, "a")
    assert (inner_engine(kit).dialect.driver, kit.names()) == (TWINS[name], ["a"])


@pytest.mark.parametrize(("name", "driver"), ASYNC_URLS)
def test_the_url_can_be_set(name: str, driver: str, make_kit: MakeKit, wanted: Wanted) -> None:
    """``SAFESESSION_ASYNC_ENGINES`` names any driver."""
    url = async_url(wanted.get(name), driver)
    kit = make_kit(name, config={"SAFESESSION_ASYNC_ENGINES": {None: url}})
    run(kit, store, kit, "a")
    assert (f"{driver}://" in str(inner_engine(kit).url), kit.names()) == (True, ["a"])


@pytest.mark.parametrize("name", ["sqlite-file", "postgresql-psycopg"])
def test_binds(name: str, make_kit: MakeKit) -> None:
    """A table goes to the database of its bind, as with ``db.session``."""
    kit = make_kit(name, binds=True)

    async def main() -> None:
        async with session(kit) as opened, opened.begin():
            opened.add_all([kit.Item(name="a"), kit.Other(name="b")])
            await opened.flush()
            assert await opened.scalar(select(kit.Other.name)) == "b"

    run(kit, main)
    assert (kit.names(), kit.other_names()) == (["a"], ["b"])


def test_a_session_class_of_the_app(make_kit: MakeKit) -> None:
    """What the app made of its sessions holds for the async ones, too."""
    kit = make_kit()

    async def main() -> Session:
        return session(kit).sync_session

    own = run(kit, main)
    with kit.app.app_context():
        assert type(own) is type(kit.db.session())
    assert isinstance(own, GuardMixin)


def test_the_app_s_session_asks_its_own_database_object(make_kit: MakeKit) -> None:
    """It is the app's, apart from the engines."""
    kit = make_kit()

    async def main() -> Any:
        return session(kit).sync_session

    own = run(kit, main)._db
    assert (own.Model, own.engines) == (kit.db.Model, {None: inner_engine(kit)})


def test_a_session_of_a_test_kit(make_kit: MakeKit) -> None:
    """Some put a session in the place of ``db.session``: async ones are then plain ones of Flask-SQLAlchemy."""
    kit = make_kit()
    with kit.app.app_context():
        kit.db.session = own = kit.db.session()
        own.remove = own.close  # what Flask-SQLAlchemy calls at the end of a context
    run(kit, store, kit, "a")
    assert kit.names() == ["a"]


def test_the_engine_has_the_options_of_the_app(make_kit: MakeKit) -> None:
    """Sizes and times count for both; what nobody set has the defaults of the extension."""
    kit = make_kit(engine_options={"pool_size": 3, "pool_recycle": 60, "pool_timeout": None})
    pool: Any = inner_engine(kit).pool
    found = (pool.size(), pool._max_overflow, pool._timeout, pool._recycle, pool._pre_ping)
    assert found == (3, 20, 30, 60, True)


def test_options_can_be_set_alone(make_kit: MakeKit) -> None:
    """A dict without a URL changes what it names, and the URL is the app's own."""
    given = {None: {"pool_size": 2, "connect_args": {"timeout": 3}}}
    kit = make_kit(config={"SAFESESSION_ASYNC_ENGINES": given}, engine_options={"max_overflow": 1})
    pool: Any = inner_engine(kit).pool
    assert (pool.size(), pool._max_overflow) == (2, 1)
    run(kit, store, kit, "a")


def test_objects_can_be_read_after_the_commit(sqlite_kit: Kit) -> None:
    """Nobody could wait for the statement that an expired attribute needs (``expire_on_commit``)."""

    async def main() -> str:
        async with session(sqlite_kit) as opened:
            item = sqlite_kit.Item(name="a")
            opened.add(item)
            await opened.commit()
        return str(item.name)

    assert run(sqlite_kit, main) == "a"


def test_in_memory(make_kit: MakeKit) -> None:
    """A second connection to SQLite in memory finds an empty database."""
    message = refused(make_kit("sqlite-memory"))
    assert "in memory" in message
    assert "Use a file" in message


def test_no_loop(sqlite_kit: Kit) -> None:
    """Outside of a coroutine nobody could wait."""
    with sqlite_kit.app.app_context(), pytest.raises(RuntimeError) as caught:
        async_factory(state_of(sqlite_kit))
    assert "no event loop runs here" in str(caught.value)
    assert "'test_no_loop'" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shop": "sqlite+aiosqlite:///x"}, "names 'shop', which is no database of the app"),
        ({None: "sqlite:///x"}, "whose driver blocks"),
        ({None: "postgresql+psycopg2://h/d"}, r"such as 'postgresql\+asyncpg'"),
        ({None: {"speed": 3}}, "No async engine can be made .*'speed'"),
        ({None: {"url": "sqlite+aiosqlite://"}}, "has one connection for all event loops"),
    ],
)
def test_wrong_engines(given: Any, message: str, make_kit: MakeKit) -> None:
    """What cannot work is said where the first session is asked for."""
    kit = make_kit(config={"SAFESESSION_ASYNC_ENGINES": given})
    with pytest.raises(ValueError, match=message):
        run(kit, store, kit, "a")


@pytest.mark.parametrize("given", ["sqlite://", {None: 3}, {3: "sqlite+aiosqlite://"}])
def test_wrong_settings(given: Any) -> None:
    """What is no dict of URLs and options is refused by ``init_app``."""
    with pytest.raises(TypeError, match="SAFESESSION_ASYNC_ENGINES"):
        Settings.load({}, {"async_engines": given})


def test_what_opens_blocking_connections(make_kit: MakeKit) -> None:
    """``creator`` gives connections of the wrong kind."""
    kit = make_kit(config={"SQLALCHEMY_ENGINE_OPTIONS": {"creator": print}})
    assert "reached with 'creator', which opens connections that block" in refused(kit)


def test_no_driver_is_installed(monkeypatch: pytest.MonkeyPatch, make_kit: MakeKit) -> None:
    """The message says which to install."""
    monkeypatch.setattr(drivers, "find_spec", lambda name: None)
    message = refused(make_kit("mariadb-pymysql"))
    assert "Install 'asyncmy' or 'aiomysql', such as with 'pip install asyncmy'." in message


@pytest.mark.postgresql
def test_the_first_that_is_installed(monkeypatch: pytest.MonkeyPatch, make_kit: MakeKit) -> None:
    """Without asyncpg, psycopg takes the place of psycopg2."""
    monkeypatch.setattr(drivers, "find_spec", lambda name: None if name == "asyncpg" else name)
    kit = make_kit("postgresql-psycopg2")
    run(kit, store, kit, "a")
    assert inner_engine(kit).dialect.driver == "psycopg"


@pytest.fixture
def lite_kit(make_kit: MakeKit, wanted: Wanted) -> Kit:
    """Flask-SQLAlchemy-Lite with an async engine on PostgreSQL."""
    database = wanted.get("postgresql-psycopg")
    url = async_url(database, "postgresql+asyncpg")
    return make_kit(database, "lite", config={"SQLALCHEMY_ASYNC_ENGINES": {"default": url}})


def test_lite(lite_kit: Kit) -> None:
    """Its own async sessions are guarded, and work on the loop of any request: with a stock engine the second fails."""

    @lite_kit.app.post("/<name>")
    async def view(name: str) -> str:
        own = lite_kit.db.async_session
        own.add(lite_kit.Item(name=name))
        await own.commit()
        await store(lite_kit, f"{name} too")
        return str(isinstance(own.sync_session, GuardMixin))

    assert [lite_kit.client.post(f"/{name}").text for name in "ab"] == ["True", "True"]
    assert lite_kit.names() == ["a", "a too", "b", "b too"]


def test_lite_where_a_loop_runs(lite_kit: Kit) -> None:
    """Its teardown has to wait for a coroutine; asgiref would say 'just await the async function directly'."""

    async def main() -> None:
        with pytest.raises(RuntimeError) as caught:
            with lite_kit.app.app_context():
                await store(lite_kit, "a")
        assert "use async sessions in async views only" in str(caught.value)

    asyncio.run(main())
    assert lite_kit.names() == ["a"]


def test_lite_in_memory(make_kit: MakeKit) -> None:
    """Its blocking sessions go on; who asks for an async one is told."""
    engines = {"SQLALCHEMY_ASYNC_ENGINES": {"default": "sqlite+aiosqlite://"}}
    kit = make_kit(flavour="lite", config=engines)

    @kit.app.get("/")
    async def view() -> str:
        with session_manager() as opened:
            opened.add(kit.Item(name="a"))
        with pytest.raises(ValueError, match="has one connection for all event loops"):
            session(kit)
        return ""

    assert (kit.client.get("/").status_code, kit.names()) == (200, ["a"])


def test_lite_that_comes_later(make_kit: MakeKit) -> None:
    """A context before its ``init_app`` knows no engines."""
    app = Flask("late")
    app.config["SQLALCHEMY_ASYNC_ENGINES"] = {"default": "sqlite+aiosqlite:///late.db"}
    db = flask_sqlalchemy_lite.SQLAlchemy()
    safe = SafeSession(app)
    with app.app_context():
        pass
    db.init_app(app)
    assert [each.name for each in safe.statistics().engines] == ["default (async)"]


@pytest.mark.parametrize("flavour", ["lite", "sessionmaker", "scoped_session"])
def test_blocking_sessions_only(flavour: Any, make_kit: MakeKit) -> None:
    """Nobody said how async ones reach the database."""
    kit = make_kit(flavour=flavour)

    @kit.app.get("/")
    async def view() -> str:
        with pytest.raises(errors.NoAppError) as caught:
            session(kit)
        return str(caught.value)

    assert "has blocking ones only" in kit.client.get("/").text


def test_the_setting_is_for_flask_sqlalchemy(make_kit: MakeKit) -> None:
    """Elsewhere it would be without effect."""
    given = {"SAFESESSION_ASYNC_ENGINES": {None: "sqlite+aiosqlite:///x"}}
    kit = make_kit(flavour="sessionmaker", config=given)
    assert "is for Flask-SQLAlchemy" in refused(kit)


@pytest.mark.parametrize("flavour", ["flask-sqlalchemy", "sessionmaker"])
def test_beside_the_app_s_own(flavour: Any, make_kit: MakeKit) -> None:
    """A factory that the app includes is the source of its async sessions."""
    kit = make_kit(flavour=flavour)
    engine = create_async_engine(async_url(kit.database, "sqlite+aiosqlite"))
    factory = async_sessionmaker(engine, binds={kit.Other: engine})
    kit.safe.include(factory)

    async def main() -> bool:
        await store(kit, "a")
        return async_factory(state_of(kit)) is factory

    assert (run(kit, main), kit.names()) == (True, ["a"])
    assert inner_engine(kit) is engine.sync_engine


def test_async_sessions_only(make_kit: MakeKit) -> None:
    """An app may have nothing but an ``async_sessionmaker``; of a class of its own, if it likes."""

    class OwnSession(AsyncSession):
        pass

    kit = make_kit(safe=False)
    engine = create_async_engine(async_url(kit.database, "sqlite+aiosqlite"))
    SafeSession(kit.app, async_sessionmaker(engine, class_=OwnSession))

    async def main() -> type[AsyncSession]:
        await store(kit, "a")
        return type(session(kit))

    assert (run(kit, main), kit.names()) == (OwnSession, ["a"])
    assert [each.url for each in kit.app.extensions["safesession"].statistics().engines] == [
        str(engine.url)
    ]
    with kit.app.app_context(), pytest.raises(errors.NoAppError, match="async with session_man"):
        with session_manager():
            pass


def test_health(make_kit: MakeKit) -> None:
    """An app without blocking sessions is asked through an async one."""
    kit = make_kit(safe=False)
    safe = SafeSession()
    kit.app.extensions.pop("sqlalchemy")
    safe.init_app(
        kit.app,
        async_sessionmaker(create_async_engine(async_url(kit.database, "sqlite+aiosqlite"))),
    )
    with kit.app.app_context():
        assert safe.healthy(timeout=20)
    other = Flask("other")
    missing = create_async_engine("postgresql+asyncpg://127.0.0.1:1/nowhere")
    safe = SafeSession(other, async_sessionmaker(missing))
    assert not safe.healthy(timeout=20)


def test_two_binds_of_a_plain_factory(make_kit: MakeKit, wanted: Wanted) -> None:
    """Each of its engines is wired, whatever it is the bind of."""
    database = wanted.get("sqlite-file")
    kit = make_kit(database, binds=True)
    main = create_async_engine(async_url(database, "sqlite+aiosqlite"))
    second = create_async_engine(f"sqlite+aiosqlite://{database.second_url.partition('://')[2]}")
    kit.safe.include(async_sessionmaker(main, binds={kit.Item: main, kit.Other: second}))
    assert inner_engine(kit, str(second.url)) is second.sync_engine


def _run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


PROGRAM = """
import sys
BEFORE
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text
from flask_safesession import SafeSession, on_commit, session_manager

app = Flask("program")
app.config.update(SQLALCHEMY_DATABASE_URI="sqlite:///FILE", TESTING=True)
db = SQLAlchemy(app)
safe = SafeSession(app)

@app.get("/")
def view():
    with session_manager() as session:
        on_commit(print, end="committed ")
        session.execute(text("CREATE TABLE IF NOT EXISTS a (id INTEGER)"))
    return ""

app.test_client().get("/")
safe.statistics()
with app.app_context():
    db.engine.dispose()
"""


def test_synchronous_apps_do_not_pay(tmp_path: Any) -> None:
    """An app without coroutines never imports what coroutines need."""
    program = PROGRAM.replace("BEFORE", "").replace("FILE", str(tmp_path / "a.db"))
    program += (
        "print([m for m in ('sqlalchemy.ext.asyncio', 'anyio', 'asgiref') if m in sys.modules])"
    )
    assert _run(program) == "committed []\n"


def test_a_portal_without_the_extra(tmp_path: Any) -> None:
    """``init_app`` says what to install."""
    program = PROGRAM.replace("FILE", str(tmp_path / "a.db"))
    program = program.replace(
        "BEFORE", "sys.modules['anyio'] = sys.modules['anyio.from_thread'] = None"
    )
    program += """
try:
    SafeSession(Flask("other"), db, async_portal=True)
except ImportError as error:
    print(error)
"""
    assert "'SAFESESSION_ASYNC_PORTAL' needs 'anyio'" in _run(program)


def test_without_the_extra(tmp_path: Any) -> None:
    """The first coroutine says what to install."""
    program = PROGRAM.replace("FILE", str(tmp_path / "a.db"))
    program = program.replace("BEFORE", "sys.modules['greenlet'] = None")
    program += """
import asyncio

async def main():
    try:
        from flask_safesession._async.sources import async_factory
    except ImportError as error:
        print(error)

with app.app_context():
    asyncio.run(main())
"""
    assert "pip install flask-safesession[async]" in _run(program)
