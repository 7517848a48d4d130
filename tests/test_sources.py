"""Where sessions come from, and what test kits and users put in their place."""

from __future__ import annotations

import contextvars
import gc
import itertools
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import flask_sqlalchemy
import pytest
from flask import Flask
from flask_sqlalchemy.session import Session as StockSession
from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Session, scoped_session, sessionmaker

from flask_safesession import SafeSession, current_scope, session_manager, transactional
from flask_safesession.errors import (
    NoAppError,
    OwnershipWarning,
    StaleContextError,
    TransactionOwnershipError,
    UncommittedChangesWarning,
)

from .kit import FLAVOURS, Flavour, Kit, MakeKit

_numbers = itertools.count(1)


class Base(DeclarativeBase):
    pass


def _flask_sqlalchemy(**session_options: Any) -> Any:
    return flask_sqlalchemy.SQLAlchemy(model_class=Base, session_options=session_options)


class OwnKit(Protocol):
    """The signature of ``own_kit``."""

    def __call__(self, db: Any, *, safe: bool = ..., config: dict[str, Any] | None = ...) -> Kit:
        """Return an app that uses *db*."""
        ...


@pytest.fixture
def own_kit(make_kit: MakeKit, kits: list[Kit]) -> OwnKit:
    """An app on a SQLite file around a Flask-SQLAlchemy that the test has made."""

    def make(db: Any, *, safe: bool = True, config: dict[str, Any] | None = None) -> Kit:
        stock = make_kit(safe=False)
        app = Flask(f"own{next(_numbers)}")
        app.config.update(TESTING=True, SQLALCHEMY_DATABASE_URI=stock.database.url)
        app.config.update(config or {})
        db.init_app(app)
        extension = SafeSession(app) if safe else None
        with app.app_context():
            engines = (db.engine,)
        kit = Kit(app, stock.database, "flask-sqlalchemy", db, stock.models, engines, extension)
        kits.append(kit)
        return kit

    return make


def _store(kit: Kit, *names: str) -> None:
    with kit.app.app_context(), session_manager() as session:
        session.add_all([kit.Item(name=name) for name in names])


# --- the ways of having sessions


def test_a_scope_uses_the_session_of_the_app(any_kit: Kit) -> None:
    """The session of a scope is what the app's code calls its session."""
    with any_kit.app.app_context(), session_manager() as session:
        assert session is _real(any_kit.session())
        any_kit.session().add(any_kit.Item(name="a"))
    assert any_kit.names() == ["a"]


def _real(session: Any) -> Any:
    return session() if isinstance(session, scoped_session) else session


def test_a_scope_owns_the_transaction(any_kit: Kit) -> None:
    """Whatever the sessions come from, a service cannot commit them."""
    with (
        any_kit.app.app_context(),
        pytest.raises(TransactionOwnershipError, match="called 'commit"),
        session_manager() as session,
    ):
        session.add(any_kit.Item(name="a"))
        any_kit.session().commit()
    assert (any_kit.names(), any_kit.checkedout()) == ([], 0)


def test_requires_new_on_each(any_kit: Kit) -> None:
    """An independent scope has another session, and the app's code sees that one inside."""
    with any_kit.app.app_context(), session_manager() as outer:
        with session_manager(propagation="requires_new") as inner:
            inner.add(any_kit.Item(name="inner"))
            seen = _real(any_kit.session())
        back = _real(any_kit.session())
    assert (seen is inner, back is outer, inner is outer) == (True, True, False)
    assert any_kit.names() == ["inner"]


def test_the_named_sessions_of_lite(make_kit: MakeKit) -> None:
    """Each name is a session of the context; all of them end with it, and scopes use the default."""
    kit = make_kit(flavour="lite")
    with pytest.warns(UncommittedChangesWarning), kit.app.app_context():
        other = kit.db.get_session("other")
        with session_manager() as session:
            assert session is kit.db.get_session() is kit.db.session is not other
        assert kit.db.get_session("other") is other
        other.add(kit.Item(name="a"))
        other.flush()
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_lite_without_an_app_context(make_kit: MakeKit) -> None:
    """Outside of a context Lite answers as it does without the extension."""
    kit = make_kit(flavour="lite")
    with pytest.raises(RuntimeError, match="Working outside of application context"):
        _ = kit.db.session


def test_one_lite_for_two_apps(make_kit: MakeKit) -> None:
    """An app without the extension shares the object with one that has it."""
    kit = make_kit(flavour="lite")
    stock = Flask("stock")
    stock.config.update(kit.app.config)
    kit.db.init_app(stock)
    SafeSession(Flask("third"), kit.db)
    with stock.app_context():
        assert type(kit.db.session).__mro__[1] is Session
        stock_engine: Engine = kit.db.engine
    stock_engine.dispose()
    _store(kit, "a")
    assert kit.names() == ["a"]


def test_a_sessionmaker_makes_sessions_as_ever(make_kit: MakeKit) -> None:
    """``SessionLocal()`` is a new session each time, which its user commits and closes."""
    kit = make_kit(flavour="sessionmaker")
    with kit.app.app_context(), kit.db() as first, kit.db.begin() as second:
        first.add(kit.Item(name="a"))
        first.commit()
        second.add(kit.Item(name="b"))
        assert first is not second
    assert kit.names() == ["a", "b"]


def test_a_session_of_ones_own_beside_a_scope(make_kit: MakeKit) -> None:
    """The guard is on the scope's session, not on others of the same factory."""
    kit = make_kit(flavour="sessionmaker")
    with kit.app.app_context(), session_manager():
        with kit.db() as own:
            own.add(kit.Item(name="own"))
            own.commit()
        assert current_scope() is not None
    assert kit.names() == ["own"]


def test_a_sessionmaker_without_an_app_context(make_kit: MakeKit) -> None:
    """A script may use the factory without any application."""
    kit = make_kit(flavour="sessionmaker")
    with kit.db.begin() as session:
        session.add(kit.Item(name="a"))
    assert kit.names() == ["a"]


def test_a_scoped_session_outside_of_contexts(make_kit: MakeKit) -> None:
    """Without an app context it has one session for each thread, as before."""
    kit = make_kit(flavour="scoped_session")
    first = kit.db()
    assert kit.db() is first
    assert kit.db.registry.has()
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(kit.db).result(timeout=10) is not first
        executor.submit(kit.db.remove).result(timeout=10)
    kit.db.remove()
    assert kit.db() is not first
    kit.db.remove()


def test_configuring_a_scoped_session_outside_of_contexts(make_kit: MakeKit) -> None:
    """``scoped(...)`` makes the session of the thread with options, as SQLAlchemy's does."""
    kit = make_kit(flavour="scoped_session")
    session = kit.db(autoflush=False)
    assert (session.autoflush, kit.db() is session) == (False, True)
    kit.db.remove()


def test_a_scoped_session_inside_of_contexts(make_kit: MakeKit) -> None:
    """With one it has a session for each context, apart from that of the thread."""
    kit = make_kit(flavour="scoped_session")
    outside = kit.db()
    with kit.app.app_context():
        assert not kit.db.registry.has()
        inside = kit.db()
        assert kit.db.registry.has()
    assert (inside is outside, kit.db() is outside) == (False, True)
    kit.db.remove()


@pytest.mark.parametrize("flavour", ["flask-sqlalchemy", "scoped_session"])
def test_removing_a_scoped_session_begins_a_new_one(make_kit: MakeKit, flavour: Flavour) -> None:
    """``remove()`` in a context gives the connection back, and the next use has a new session."""
    kit = make_kit(flavour=flavour)
    scoped: Any = kit.session() if flavour == "scoped_session" else kit.db.session
    with kit.app.app_context():
        first = scoped()
        scoped.execute(select(kit.Item)).all()
        scoped.remove()
        scoped.remove()
        assert (kit.checkedout(), scoped() is first) == (0, False)


def test_configuring_a_scoped_session(make_kit: MakeKit) -> None:
    """``scoped(...)`` makes the session of the context with options, as SQLAlchemy's does."""
    kit = make_kit(flavour="scoped_session")
    with kit.app.app_context():
        session = kit.db(autoflush=False)
        assert (session.autoflush, kit.db() is session) == (False, True)
        with session_manager() as scoped:
            assert scoped is session


def test_a_scoped_session_over_a_function(make_kit: MakeKit, kits: list[Kit]) -> None:
    """The factory may be any callable; its sessions are guarded one by one."""
    stock = make_kit(flavour="sessionmaker", safe=False)
    make_session: Any = lambda: Session(stock.engine)  # noqa: E731
    scoped = scoped_session[Session](make_session)
    app = Flask("callable")
    SafeSession(app, scoped)
    kit = Kit(app, stock.database, "scoped_session", scoped, stock.models, stock.engines)
    with app.app_context(), session_manager() as session:
        assert session is scoped()
        session.add(kit.Item(name="a"))
        with pytest.raises(TransactionOwnershipError):
            scoped.commit()
    assert kit.names() == ["a"]


# --- other factories of the same app


def _second_factory(kit: Kit) -> sessionmaker[Session]:
    return sessionmaker(kit.engine)


def test_an_included_scoped_session(sqlite_kit: Kit) -> None:
    """Its sessions belong to the context: rolled back, closed and reported with it."""
    audit = scoped_session(_second_factory(sqlite_kit))
    sqlite_kit.safe.include(audit)
    with (
        pytest.warns(UncommittedChangesWarning, match="1 new object"),
        sqlite_kit.app.app_context(),
    ):
        audit.scalar(select(1))
        audit.add(sqlite_kit.Item(name="a"))
    assert (sqlite_kit.names(), sqlite_kit.checkedout()) == ([], 0)


def test_an_included_scoped_session_is_refused_after_the_end(sqlite_kit: Kit) -> None:
    """A popped context gives none of its sessions either."""
    audit = scoped_session(_second_factory(sqlite_kit))
    sqlite_kit.safe.include(audit)
    with sqlite_kit.app.app_context():
        ended = contextvars.copy_context()
    with pytest.raises(StaleContextError):
        ended.run(audit)


def test_an_included_scoped_session_commits_by_hand(sqlite_kit: Kit) -> None:
    """It stays with its users: a scope of the app neither commits nor guards it."""
    audit = scoped_session(_second_factory(sqlite_kit))
    sqlite_kit.safe.include(audit)
    with (
        sqlite_kit.app.app_context(),
        pytest.raises(ValueError, match="no"),
        session_manager() as session,
    ):
        assert audit() is not session
        audit.add(sqlite_kit.Item(name="audit"))
        audit.commit()
        raise ValueError("no")
    assert sqlite_kit.names() == ["audit"]


def test_an_included_sessionmaker(sqlite_kit: Kit) -> None:
    """Its sessions are guarded: a swallowed failure is found before a hand-written COMMIT too."""
    factory = _second_factory(sqlite_kit)
    sqlite_kit.safe.include(factory)
    sqlite_kit.safe.include(factory)
    with sqlite_kit.app.app_context(), factory.begin() as session:
        session.add(sqlite_kit.Item(name="a"))
    assert (len(factory.class_.__mro__), sqlite_kit.names()) == (
        len(Session.__mro__) + 4,
        ["a"],
    )


@pytest.mark.parametrize("wrong", [None, Session, "factory", lambda: Session()])
def test_include_takes_factories_only(sqlite_kit: Kit, wrong: Any) -> None:
    """Anything else is a TypeError that says what to give."""
    with pytest.raises(TypeError, match=r"^'factory' is .* Give a 'sessionmaker' or"):
        sqlite_kit.safe.include(wrong)


# --- db.session is replaced (fact 20)


def _replace(kit: Kit, session: Any) -> Any:
    kit.db.session = session
    return session


def _plain_session(kit: Kit) -> Any:
    """A Session that also has what Flask-SQLAlchemy's teardown calls."""
    session: Any = Session(kit.engine)
    session.remove = lambda: None
    return session


@pytest.fixture
def replaced(sqlite_kit: Kit) -> Iterator[Kit]:
    """A kit whose ``db.session`` is put back after the test."""
    stock = sqlite_kit.db.session
    yield sqlite_kit
    sqlite_kit.db.session = stock


def test_another_scoped_session_in_its_place(replaced: Kit) -> None:
    """A test kit's own scoped session keeps its own life, and scopes use and guard it."""
    scoped = _replace(replaced, scoped_session(_second_factory(replaced)))
    before = scoped()
    with replaced.app.app_context(), session_manager() as session:
        assert session is before
        session.add(replaced.Item(name="a"))
        with pytest.raises(TransactionOwnershipError):
            scoped.commit()
    assert replaced.names() == ["a"]


def test_a_replacement_inside_of_a_context(replaced: Kit) -> None:
    """It may be put there while a context is open; the next scope uses it."""
    with replaced.app.app_context():
        with session_manager() as stock:
            pass
        scoped = _replace(replaced, scoped_session(_second_factory(replaced)))
        with session_manager() as session:
            assert session is scoped() is not stock
    scoped.remove()


@pytest.fixture
def outer(replaced: Kit) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back after the test, as test kits have it."""
    with replaced.engine.connect() as connection:
        transaction = connection.begin()
        # Python's driver begins only before a write, and a savepoint would be all there is.
        connection.exec_driver_sql("BEGIN")
        yield connection
        transaction.rollback()
    assert replaced.names() == []


@pytest.mark.parametrize("fails", [False, True])
def test_a_session_over_an_external_connection(
    replaced: Kit, outer: Connection, fails: bool
) -> None:
    """Scopes commit and roll back inside the transaction of the test kit, request by request."""
    factory = sessionmaker(outer, join_transaction_mode="create_savepoint")
    scoped = _replace(replaced, scoped_session(factory))
    replaced.app.add_url_rule("/", "index", transactional(lambda: _item(replaced, fails)))
    assert replaced.client.get("/").status_code == (400 if fails else 200)
    assert scoped.scalars(select(replaced.Item.name)).all() == ([] if fails else ["a"])
    scoped.remove()


def _item(kit: Kit, fails: bool) -> tuple[str, int]:
    kit.db.session.add(kit.Item(name="a"))
    return "", 400 if fails else 200


def test_a_plain_session_in_its_place(replaced: Kit) -> None:
    """``db.session`` may be one Session; scopes use it, and contexts leave it open."""
    plain = _replace(replaced, _plain_session(replaced))
    for name in ("a", "b"):
        with replaced.app.app_context(), session_manager() as session:
            assert session is plain is replaced.db.session
            session.add(replaced.Item(name=name))
            with pytest.raises(TransactionOwnershipError):
                plain.commit()
    assert replaced.names() == ["a", "b"]
    plain.close()


def test_requires_new_beside_a_plain_session(replaced: Kit) -> None:
    """An independent scope gets another session of the same kind, and the plain one comes back."""
    plain = _replace(replaced, _plain_session(replaced))
    with replaced.app.app_context(), session_manager() as session:
        with session_manager(propagation="requires_new") as inner:
            assert replaced.db.session is inner is not session
            inner.add(replaced.Item(name="inner"))
        assert replaced.db.session is plain
    assert replaced.names() == ["inner"]
    plain.close()


def test_a_plain_session_with_changes_is_adopted(replaced: Kit) -> None:
    """What it held before the first scope is committed with that scope."""
    plain = _replace(replaced, _plain_session(replaced))
    plain.add(replaced.Item(name="a"))
    plain.flush()
    with replaced.app.app_context(), session_manager():
        pass
    assert replaced.names() == ["a"]
    plain.close()


def test_the_stock_session_comes_back(sqlite_kit: Kit) -> None:
    """When a kit puts the old session back, contexts own their sessions again."""
    stock = sqlite_kit.db.session
    other = _replace(sqlite_kit, scoped_session(_second_factory(sqlite_kit)))
    with sqlite_kit.app.app_context(), session_manager():
        pass
    other.remove()
    sqlite_kit.db.session = stock
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="a"))
        assert session is stock()
    assert sqlite_kit.names() == ["a"]


def test_a_second_init_app_of_another_db(own_kit: OwnKit) -> None:
    """An app that is given another Flask-SQLAlchemy uses that one from then on."""
    kit = own_kit(_flask_sqlalchemy())
    second = _flask_sqlalchemy()
    del kit.app.extensions["sqlalchemy"]
    second.init_app(kit.app)
    with kit.app.app_context(), session_manager() as session:
        assert session is second.session() is not kit.db.session()
        session.add(kit.Item(name="a"))
        second_engine = second.engine
    second_engine.dispose()
    assert kit.names() == ["a"]


def test_a_second_init_app_of_the_same_db(own_kit: OwnKit) -> None:
    """An app that calls ``db.init_app(app)`` twice works, with one of the teardowns too many."""
    kit = own_kit(_flask_sqlalchemy())
    del kit.app.extensions["sqlalchemy"]
    kit.db.init_app(kit.app)
    with (
        pytest.warns(UncommittedChangesWarning, match="1 new object"),
        kit.app.app_context(),
    ):
        kit.db.session.add(kit.Item(name="a"))
        second_engine = kit.db.engine
    second_engine.dispose()
    assert kit.names() == []


def test_an_app_that_loses_its_database(own_kit: OwnKit) -> None:
    """Contexts of an app whose database was taken away still work, and say so when asked."""
    kit = own_kit(_flask_sqlalchemy())
    del kit.app.extensions["sqlalchemy"]
    with kit.app.app_context(), pytest.raises(NoAppError, match="has no database"):
        session_manager().__enter__()


# --- users' own choices


def test_a_scopefunc_of_the_user(own_kit: OwnKit) -> None:
    """A user's ``scopefunc`` decides which session is whose; scopes use what it gives."""
    kit = own_kit(_flask_sqlalchemy(scopefunc=lambda: 1))
    with kit.app.app_context():
        outer = kit.db.session()
        with kit.app.app_context(), session_manager() as session:
            assert session is outer
            session.add(kit.Item(name="a"))
    assert (kit.names(), kit.checkedout()) == (["a"], 0)


class Custom(StockSession):
    """A user's session class."""

    def hello(self) -> str:
        return "hello"


def test_a_session_class_of_the_user(own_kit: OwnKit) -> None:
    """Sessions are of the user's class too, which itself stays as it was."""
    kit = own_kit(_flask_sqlalchemy(class_=Custom))
    with kit.app.app_context(), session_manager() as session:
        assert isinstance(session, Custom)
        assert (session.hello(), type(session).__name__) == ("hello", "Custom")
        session.add(kit.Item(name="a"))
    assert (kit.names(), "commit" in vars(Custom)) == (["a"], False)


def _listens(kit: Kit, target: Any, calls: list[str]) -> None:
    event.listen(target, "before_commit", lambda _: calls.append("called"))


TARGETS: dict[str, Callable[[Kit], Any]] = {
    "the scoped session": lambda kit: kit.db.session,
    "its factory": lambda kit: kit.db.session.session_factory,
    "its class": lambda kit: kit.db.session.session_factory.class_,
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_event_listeners_fire_once(
    make_kit: MakeKit, target: Callable[[Kit], Any], when: str
) -> None:
    """A listener that was registered before or after the wiring is called once for each commit."""
    kit, calls = make_kit(safe=False), list[str]()
    if when == "before":
        _listens(kit, target(kit), calls)
    SafeSession(kit.app)
    if when == "after":
        _listens(kit, target(kit), calls)
    _store(kit, "a")
    assert calls == ["called"]


def test_a_listener_can_be_removed(sqlite_kit: Kit) -> None:
    """``event.remove`` works on a guarded session class."""
    calls: list[str] = []

    def listener(_: Session) -> None:
        calls.append("called")

    event.listen(sqlite_kit.db.session, "before_commit", listener)
    event.remove(sqlite_kit.db.session, "before_commit", listener)
    _store(sqlite_kit, "a")
    assert calls == []


def test_a_model_listener_fires_once(sqlite_kit: Kit) -> None:
    """Mapper events are not touched."""
    calls: list[str] = []
    listener: Callable[..., None] = lambda *args: calls.append(args[2].name)  # noqa: E731
    event.listen(sqlite_kit.Item, "after_insert", listener)
    _store(sqlite_kit, "a")
    event.remove(sqlite_kit.Item, "after_insert", listener)
    assert calls == ["a"]


# --- several apps


def _commit_inside(kit: Kit) -> None:
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name=kit.app.name))
        kit.db.session.commit()


def test_two_apps_share_a_db(own_kit: OwnKit) -> None:
    """Each app has its own settings for sessions of one shared Flask-SQLAlchemy."""
    db = _flask_sqlalchemy()
    strict, lax = own_kit(db), own_kit(db, config={"SAFESESSION_OWNERSHIP": "defer"})
    with pytest.raises(TransactionOwnershipError):
        _commit_inside(strict)
    _commit_inside(lax)
    assert lax.names() == [lax.app.name]


def test_two_apps_in_turn(own_kit: OwnKit) -> None:
    """The settings follow the context, not the app that was wired last."""
    db = _flask_sqlalchemy()
    lax, warning = [
        own_kit(db, config={"SAFESESSION_OWNERSHIP": mode}) for mode in ("defer", "warn")
    ]
    with pytest.warns(OwnershipWarning) as record:
        _commit_inside(warning)
        _commit_inside(lax)
    assert (len(record), lax.names()) == (1, sorted([lax.app.name, warning.app.name]))


def test_an_app_without_the_extension_shares_the_db(own_kit: OwnKit) -> None:
    """The other app works as if nothing were installed: nothing guarded, nothing reported."""
    db = _flask_sqlalchemy()
    safe, stock = own_kit(db), own_kit(db, safe=False)
    with stock.app.app_context():
        first = db.session()
        assert db.session() is first
        assert db.session.registry.has()
        db.session.add(stock.Item(name="forgotten"))
    with stock.app.app_context():
        db.session.add(stock.Item(name="a"))
        db.session.commit()
        db.session.remove()
    _store(safe, "b")
    assert (stock.names(), stock.checkedout()) == (["a", "b"], 0)


def test_scopes_in_an_app_without_the_extension(own_kit: OwnKit) -> None:
    """There a scope says which call is missing."""
    kit = own_kit(_flask_sqlalchemy(), safe=False)
    with (
        kit.app.app_context(),
        pytest.raises(NoAppError, match=f"the app '{kit.app.name}' has no SafeSession. Call"),
    ):
        session_manager().__enter__()
    assert current_scope() is None


def test_a_shared_session_outside_of_contexts(own_kit: OwnKit) -> None:
    """``db.session`` without any context names the fix, as a RuntimeError like Flask's."""
    kit = own_kit(_flask_sqlalchemy())
    with pytest.raises(NoAppError, match="outside of any application context") as caught:
        kit.db.session()
    assert isinstance(caught.value, RuntimeError)
    with pytest.raises(RuntimeError):
        kit.db.session.remove()


def _factory_app(safe: SafeSession | None) -> weakref.ref[Flask]:
    app = Flask("made")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = _flask_sqlalchemy()
    db.init_app(app)
    if safe is None:
        SafeSession(app)
    else:
        safe.init_app(app)
    app.add_url_rule("/", "index", transactional(lambda: "ok"))
    assert app.test_client().get("/").text == "ok"
    with app.app_context(), session_manager() as session:
        session.scalar(select(1))
        engine = db.engine
    engine.dispose()
    return weakref.ref(app)


@pytest.mark.parametrize("shared", [False, True], ids=["one each", "one for all"])
def test_fifty_apps_are_not_kept(shared: bool) -> None:
    """An app factory that makes apps all day does not keep them, nor does a module-level extension."""
    safe = SafeSession() if shared else None
    apps = [_factory_app(safe) for _ in range(50)]
    gc.collect()
    assert [app() for app in apps if app() is not None] == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_engines_that_cannot_prepare(make_kit: MakeKit, flavour: Flavour) -> None:
    """``SAFESESSION_TWOPHASE`` is left off where a database knows no two-phase commit."""
    kit = make_kit(flavour=flavour, binds=True, config={"SAFESESSION_TWOPHASE": True})
    with kit.app.app_context(), session_manager() as session:
        assert session.twophase is False
        session.add_all([kit.Item(name="a"), kit.Other(name="b")])
    assert (kit.names(), kit.other_names()) == (["a"], ["b"])


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_session_that_outlives_its_context(make_kit: MakeKit, flavour: Flavour) -> None:
    """A session of one's own on two databases can be committed when its context is gone."""
    kit = make_kit(flavour=flavour, binds=True)
    with kit.app.app_context():
        session = _own_session(kit)
        session.add_all([kit.Item(name="a"), kit.Other(name="b")])
        session.flush()
    session.commit()
    assert (kit.names(), kit.other_names()) == (["a"], ["b"])


def _own_session(kit: Kit) -> Session:
    with session_manager() as session:
        guarded = type(session)
    options = {"db": kit.db} if kit.flavour == "flask-sqlalchemy" else {}
    binds: Any = {kit.Item: kit.engines[0], kit.Other: kit.engines[1]}
    return guarded(binds=binds, **options)


def test_a_factory_without_engines() -> None:
    """A factory may be bound later; a scope that asks for nothing works without."""
    app = Flask("unbound")
    SafeSession(app, sessionmaker(), twophase=True)
    with app.app_context(), session_manager() as session:
        assert (session.bind, session.twophase) == (None, False)


def test_an_engine_of_ones_own(make_kit: MakeKit) -> None:
    """A session may be bound to an engine that the app does not know."""
    kit = make_kit(flavour="sessionmaker")
    other = create_engine(kit.database.url)
    kit.db.configure(bind=other)
    _store(kit, "a")
    other.dispose()
    assert kit.names() == ["a"]
