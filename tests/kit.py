"""A small Flask app on a real database, the same for each way of having sessions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Protocol, cast

import flask_sqlalchemy
import flask_sqlalchemy_lite
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import (
    Engine,
    ForeignKey,
    MetaData,
    QueuePool,
    StaticPool,
    String,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    declared_attr,
    mapped_column,
    relationship,
    scoped_session,
    sessionmaker,
)

from flask_safesession import SafeSession

from .databases import Database, end_connections

Flavour = Literal["flask-sqlalchemy", "lite", "sessionmaker", "scoped_session"]
FLAVOURS: Final[tuple[Flavour, ...]] = (
    "flask-sqlalchemy",
    "lite",
    "sessionmaker",
    "scoped_session",
)


class _Item:
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    amount: Mapped[int] = mapped_column(default=0, server_default="0")


class _Other(_Item):
    __tablename__ = "other"


class _Parent:
    __tablename__ = "parent"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))

    @declared_attr
    def children(cls) -> Mapped[list[Any]]:  # noqa: N805 - SQLAlchemy passes the class
        return relationship("Child", back_populates="parent")


class _Child:
    __tablename__ = "child"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    parent_id: Mapped[int] = mapped_column(ForeignKey("parent.id"))

    @declared_attr
    def parent(cls) -> Mapped[Any]:  # noqa: N805 - SQLAlchemy passes the class
        return relationship("Parent", back_populates="children")


class _LateChild:
    __tablename__ = "late_child"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


@dataclass(frozen=True)
class Models:
    """The mapped classes of the kits on one kind of database."""

    Item: Any
    Other: Any
    Parent: Any
    Child: Any
    LateChild: Any


@cache
def make_models(dialect: str, binds: bool) -> Models:
    """Map the classes, once for all kits of a worker: mapping costs more than a test.

    ``Other`` lies in the database of the bind ``"second"`` if *binds*, else in the main one.
    """

    class Base(DeclarativeBase):
        pass

    class SecondBase(DeclarativeBase):
        # How Flask-SQLAlchemy knows to which bind a table belongs.
        metadata = MetaData(info={"bind_key": "second"})

    late: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}
    # MariaDB has no deferred constraints; there the key is checked at once.
    key = ForeignKey("parent.id", **({} if dialect == "mariadb" else late))
    return Models(
        Item=type("Item", (_Item, Base), {}),
        Other=type("Other", (_Other, SecondBase if binds else Base), {}),
        Parent=type("Parent", (_Parent, Base), {}),
        Child=type("Child", (_Child, Base), {}),
        LateChild=type("LateChild", (_LateChild, Base), {"parent_id": mapped_column(key)}),
    )


@dataclass
class Kit:
    """An app with sessions, models and, unless made with ``safe=False``, the extension.

    ``Item`` has a unique ``name`` and an ``amount``. ``Parent`` and ``Child`` are joined by a key
    that is checked at once, ``LateChild`` refers to ``Parent`` by one that is checked at COMMIT (at
    once on MariaDB). ``Other`` is like ``Item``, and in the second database if the kit has binds.
    """

    app: Flask
    database: Database
    flavour: Flavour
    db: Any
    models: Models
    engines: tuple[Engine, ...]
    extension: SafeSession | None = None
    _out: dict[int, int] = field(default_factory=dict, repr=False)

    @property
    def safe(self) -> SafeSession:
        """The extension of this app."""
        assert self.extension is not None, "the kit was made with safe=False"
        return self.extension

    @property
    def Item(self) -> Any:  # noqa: N802 - a class
        """The mapped class of the table ``item``."""
        return self.models.Item

    @property
    def Other(self) -> Any:  # noqa: N802 - a class
        """The mapped class of the table ``other`` in the second database."""
        return self.models.Other

    @property
    def Parent(self) -> Any:  # noqa: N802 - a class
        """The mapped class of the table ``parent``."""
        return self.models.Parent

    @property
    def Child(self) -> Any:  # noqa: N802 - a class
        """The mapped class of the table ``child``."""
        return self.models.Child

    @property
    def LateChild(self) -> Any:  # noqa: N802 - a class
        """The mapped class of the table ``late_child``."""
        return self.models.LateChild

    @property
    def engine(self) -> Engine:
        """The engine of the main database."""
        return self.engines[0]

    @property
    def client(self) -> FlaskClient:
        """A new test client."""
        return self.app.test_client()

    def session(self) -> Session:
        """Return what the app's code would call its session.

        That is ``db.session``, the scoped session, or for a plain ``sessionmaker`` the session of
        the active scope; without a scope it is a new session, which the caller has to close.
        """
        if self.flavour == "scoped_session":
            return cast("Session", self.db)
        if self.flavour != "sessionmaker":
            return cast("Session", self.db.session)
        if self.extension is None or self.extension.current_scope() is None:
            return cast("Session", self.db())
        with self.extension.session_manager(propagation="mandatory") as session:
            return session

    def names(self) -> list[str]:
        """Return the names of the stored items, sorted, read through another connection.

        SQLite in memory has no other connection: there the app's own is read, uncommitted changes
        included.
        """
        return self._read("item", self.database.observer, self.engines[0])

    def other_names(self) -> list[str]:
        """Return the names of the stored rows of ``Other``, as ``names()`` does for ``Item``."""
        database = self.database
        observer = database.second_observer if self._has_binds else database.observer
        return self._read("other", observer, self.engines[-1])

    @property
    def _has_binds(self) -> bool:
        return len(self.engines) > 1

    def _read(self, table: str, observer: Engine | None, engine: Engine) -> list[str]:
        statement = f"SELECT name FROM {table} ORDER BY name"
        if observer is None:
            return [name for (name,) in _only_connection(engine).execute(statement)]
        with observer.connect() as connection:
            return sorted(connection.exec_driver_sql(statement).scalars())

    def count(self, model: Any) -> int:
        """Return how many rows of *model* are stored, read as ``names()`` reads."""
        table = model.__table__
        if self.database.observer is None:
            statement = f"SELECT count(*) FROM {table.name}"
            engine = self.engines[-1] if model is self.Other else self.engine
            return int(_only_connection(engine).execute(statement).fetchone()[0])
        second = model is self.Other and self._has_binds
        observer = self.database.second_observer if second else self.database.observer
        assert observer is not None
        with observer.connect() as connection:
            return connection.scalar(select(func.count()).select_from(table)) or 0

    def checkedout(self) -> int:
        """Return how many connections are out of the pools of this app, all engines together."""
        return sum(self._checkedout(engine) for engine in self.engines)

    def _checkedout(self, engine: Engine) -> int:
        if isinstance(engine.pool, QueuePool):
            return engine.pool.checkedout()
        return self._out.get(id(engine), 0)

    def dispose(self) -> None:
        """Close the pooled connections."""
        for engine in self.engines:
            engine.dispose()


class MakeKit(Protocol):
    """The signature of ``make_kit``; the fixture of this name takes a database's name as well."""

    def __call__(
        self,
        database: Database | str = ...,
        flavour: Flavour = ...,
        *,
        safe: bool = ...,
        binds: bool = ...,
        config: Mapping[str, Any] | None = ...,
        options: Mapping[str, Any] | None = ...,
        engine_options: Mapping[str, Any] | None = ...,
        db_first: bool = ...,
    ) -> Kit:
        """Return a new kit; see ``tests.kit.make_kit``."""
        ...


_numbers = itertools.count(1)


def make_kit(
    database: Database,
    flavour: Flavour = "flask-sqlalchemy",
    *,
    safe: bool = True,
    binds: bool = False,
    config: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    engine_options: Mapping[str, Any] | None = None,
    db_first: bool = True,
) -> Kit:
    """Make an app on *database*, whose tables ``prepare`` made.

    Args:
        database: Where the rows go.
        flavour: How the app has its sessions.
        safe: Install the extension.
        binds: Put ``Other`` into the second database, so that a scope may have two engines.
        config: More of ``app.config``.
        options: The keyword arguments of ``SafeSession``.
        engine_options: More arguments of ``create_engine``, for each engine; None takes one of the kit away.
        db_first: Give the app to the database extension before it is given to ``SafeSession``;
            otherwise after.
    """
    app = Flask(f"kit{next(_numbers)}")
    app.config.update(TESTING=True, SECRET_KEY="kit")
    given = {**_engine_defaults(database), **(engine_options or {})}
    engine_arguments = {name: value for name, value in given.items() if value is not None}
    urls = (database.url, database.second_url) if binds else (database.url,)
    app.config.update(_flavour_config(flavour, urls, engine_arguments))
    app.config.update(config or {})
    models = make_models(database.dialect, binds)
    db = _FLAVOURS[flavour](models, urls, engine_arguments)
    extension = None
    if safe and not db_first:
        extension = _install(app, flavour, db, options)
    _init_db(app, flavour, db)
    if safe and db_first:
        extension = _install(app, flavour, db, options)
    kit = Kit(app, database, flavour, db, models, _engines(app, flavour, db), extension)
    _prepare_engines(kit)
    if database.observer is None:
        _create_in_memory(kit)
    return kit


def _install(
    app: Flask, flavour: Flavour, db: Any, options: Mapping[str, Any] | None
) -> SafeSession:
    # Flask-SQLAlchemy's is found by itself, in app.extensions.
    given = {} if flavour == "flask-sqlalchemy" else {"db": db}
    return SafeSession(app, **given, **(options or {}))


def _engine_defaults(database: Database) -> dict[str, Any]:
    if database.name == "sqlite-memory":
        return {}
    if database.dialect == "sqlite":
        return {"pool_timeout": 2, "connect_args": {"timeout": 1}}
    # Whole seconds: Flask-SQLAlchemy turns 0.5 into 0.
    return {"pool_timeout": 2}


def _flavour_config(
    flavour: Flavour, urls: Sequence[str], engine_options: Mapping[str, Any]
) -> dict[str, Any]:
    described = [{"url": url, **engine_options} for url in urls]
    if flavour == "lite":
        return {"SQLALCHEMY_ENGINES": dict(zip(("default", "second"), described, strict=False))}
    if flavour != "flask-sqlalchemy":
        return {}
    return {
        "SQLALCHEMY_DATABASE_URI": urls[0],
        "SQLALCHEMY_ENGINE_OPTIONS": dict(engine_options),
        "SQLALCHEMY_BINDS": dict(zip(("second",), described[1:], strict=False)),
    }


def _flask_sqlalchemy(*_: Any) -> Any:
    class Base(DeclarativeBase):
        pass

    return flask_sqlalchemy.SQLAlchemy(model_class=Base)


def _lite(models: Models, urls: Sequence[str], _: Mapping[str, Any]) -> Any:
    binds: dict[str, Any] = {"binds": {models.Other: "second"}} if len(urls) > 1 else {}
    return flask_sqlalchemy_lite.SQLAlchemy(session_options=binds)


def _sessionmaker(
    models: Models, urls: Sequence[str], engine_options: Mapping[str, Any]
) -> sessionmaker[Session]:
    engines = [_plain_engine(url, engine_options) for url in urls]
    return sessionmaker(bind=engines[0], binds=dict.fromkeys([models.Other], engines[-1]))


def _plain_engine(url: str, engine_options: Mapping[str, Any]) -> Engine:
    if url != "sqlite://":
        return create_engine(url, **engine_options)
    shared = {"check_same_thread": False}
    return create_engine(url, poolclass=StaticPool, connect_args=shared, **engine_options)


def _scoped_session(
    models: Models, urls: Sequence[str], engine_options: Mapping[str, Any]
) -> scoped_session[Session]:
    return scoped_session(_sessionmaker(models, urls, engine_options))


_FLAVOURS: Final = {
    "flask-sqlalchemy": _flask_sqlalchemy,
    "lite": _lite,
    "sessionmaker": _sessionmaker,
    "scoped_session": _scoped_session,
}


def _init_db(app: Flask, flavour: Flavour, db: Any) -> None:
    if flavour in ("flask-sqlalchemy", "lite"):
        db.init_app(app)
    elif flavour == "scoped_session":
        # What Flask's documentation tells the users of a scoped session to do.
        app.teardown_appcontext(lambda _: db.remove())


def _engines(app: Flask, flavour: Flavour, db: Any) -> tuple[Engine, ...]:
    if flavour in ("flask-sqlalchemy", "lite"):
        main = None if flavour == "flask-sqlalchemy" else "default"
        with app.app_context():
            found = dict(db.engines)
        return (found.pop(main), *found.values())
    factory = db.session_factory if flavour == "scoped_session" else db
    engines = (factory.kw["bind"], *factory.kw["binds"].values())
    return tuple(dict.fromkeys(engines))


def _prepare_engines(kit: Kit) -> None:
    for engine in kit.engines:
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _enforce_foreign_keys)
        if not isinstance(engine.pool, QueuePool):
            _count(kit, engine)


def _enforce_foreign_keys(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA foreign_keys=ON")


def _count(kit: Kit, engine: Engine) -> None:
    def change(by: int) -> None:
        kit._out[id(engine)] = kit._out.get(id(engine), 0) + by

    event.listen(engine, "checkout", lambda *_: change(1))
    event.listen(engine, "checkin", lambda *_: change(-1))


def _only_connection(engine: Engine) -> Any:
    pool = engine.pool
    assert isinstance(pool, StaticPool), (
        "only SQLite in memory is read through the app's connection"
    )
    return pool.connection.dbapi_connection


def _create_in_memory(kit: Kit) -> None:
    for model in (kit.Item, kit.Other):
        engine = kit.engines[-1] if model is kit.Other else kit.engine
        model.metadata.create_all(engine)


def _tables(dialect: str) -> tuple[MetaData, MetaData]:
    # A kit without binds has the table of "Other" in its main database.
    main: MetaData = make_models(dialect, binds=False).Item.metadata
    second: MetaData = make_models(dialect, binds=True).Other.metadata
    return main, second


class Tables:
    """Makes the tables of the kits in a database, and empties them between tests."""

    def __init__(self) -> None:
        self._made: set[tuple[str, str | None]] = set()
        self._files: list[bytes] = []

    def prepare(self, database: Database) -> None:
        """Leave the tables of *database* made and empty.

        The numbers of new rows go on; do not expect the first ``id`` to be 1 on a server.
        """
        if database.observer is None or database.second_observer is None:
            return
        engines = (database.observer, database.second_observer)
        if database.dialect == "sqlite":
            self._write_files(engines)
            return
        try:
            self._make_or_empty(database.dialect, engines)
        except OperationalError:
            # Somebody holds a lock on them.
            end_connections(database)
            self._make_or_empty(database.dialect, engines)

    def _make_or_empty(self, dialect: str, engines: tuple[Engine, Engine]) -> None:
        key = (dialect, engines[0].url.database)
        if key in self._made:
            _empty(dialect, engines)
            return
        _make(dialect, engines)
        self._made.add(key)

    def _write_files(self, engines: tuple[Engine, Engine]) -> None:
        files = [Path(str(engine.url.database)) for engine in engines]
        if not self._files:
            _make("sqlite", engines)
            self._files = [file.read_bytes() for file in files]
        for file, content in zip(files, self._files, strict=True):
            file.write_bytes(content)


def _make(dialect: str, engines: tuple[Engine, Engine]) -> None:
    for metadata, engine in zip(_tables(dialect), engines, strict=True):
        metadata.create_all(engine)


def _empty(dialect: str, engines: tuple[Engine, Engine]) -> None:
    for metadata, engine in zip(_tables(dialect), engines, strict=True):
        with engine.connect() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
