"""An app that worker processes make for themselves, and the jobs that they run in it."""

from __future__ import annotations

import contextvars
import os
import sys
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn

from flask import Flask, current_app, g, has_app_context, has_request_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_safesession import SafeSession, current_scope

trace: ContextVar[str] = ContextVar("trace", default="none")
made: list[Flask] = []


class Base(DeclarativeBase):
    """Its tables are those of the kits."""


db = SQLAlchemy(model_class=Base)


class Item(db.Model):  # type: ignore[name-defined,misc]
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    amount: Mapped[int] = mapped_column(default=0)


class LateChild(db.Model):  # type: ignore[name-defined,misc]
    __tablename__ = "late_child"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    parent_id: Mapped[int] = mapped_column(ForeignKey("parent.id"))


class Parent(db.Model):  # type: ignore[name-defined,misc]
    __tablename__ = "parent"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


def create_app(url: str = "sqlite://", name: str = "worker", **config: Any) -> Flask:
    """Make an app on a database that has the tables of the kits."""
    app = Flask(name)
    app.config.update(SQLALCHEMY_DATABASE_URI=url, **config)
    db.init_app(app)
    SafeSession(app)
    made.append(app)
    return app


def fail_to_create() -> Flask:
    raise LookupError("no configuration")


def exit_instead() -> Flask:
    sys.exit("no configuration")


not_an_app = "text"


@dataclass
class Surroundings:
    """What a job sees around itself."""

    pid: int
    app: str
    apps: int
    request: bool
    trace: str
    values: dict[str, Any]


def look() -> Surroundings:
    values = {name: getattr(g, name) for name in g}
    seen = (has_request_context(), trace.get(), values)
    return Surroundings(os.getpid(), current_app.name, len(made), *seen)


def look_under() -> bool:
    """Whether a context of somebody else lies under that of the job."""
    variables = contextvars.copy_context()
    contexts = [each for each in variables.values() if hasattr(each, "app")]
    leaked: list[bool] = []
    threading.Thread(target=lambda: leaked.append(has_app_context())).start()
    return len(contexts) > 1 or any(leaked)


def add(name: str, amount: int = 0) -> str:
    db.session.add(Item(name=name, amount=amount))
    db.session.flush()
    return name


def add_orphan() -> str:
    """Its COMMIT fails on databases that check keys late."""
    db.session.add(LateChild(name="orphan", parent_id=-1))
    return "never seen"


def name_of(item: Item) -> str:
    assert db.session.object_session(item) is db.session()
    return item.name


def scope_name() -> str:
    scope = current_scope()
    return "none" if scope is None else scope.name


def raise_own() -> NoReturn:
    raise KeyError("the job's own")


def raise_from_itself() -> NoReturn:
    error = KeyError("its own cause")
    raise error from error


class Stubborn(Exception):  # noqa: N818 - an error that breaks a stock pool
    """Pickle calls it with one argument."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one}, {two}")


def raise_stubborn() -> NoReturn:
    raise Stubborn(1, 2)


def return_lock(name: str) -> object:
    """What it added is rolled back, because its result cannot be sent."""
    add(name)
    return threading.Lock()


def return_cursor() -> object:
    """A result whose rows are still to come: SQLite lets nobody commit meanwhile."""
    return db.session.connection().exec_driver_sql("SELECT name FROM sqlite_master")


def fail_with_cursor() -> NoReturn:
    """An error that cannot be sent, and frames that hold such a result."""
    rows = return_cursor()
    raise Stubborn(1, 2) from KeyError(str(rows))


class Unreadable:
    """It can be written by pickle, and not be read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


def return_unreadable() -> Unreadable:
    return Unreadable()


def take_anything(*values: object, **named: object) -> int:
    return len(values) + len(named)


def session_id() -> tuple[int, int]:
    """The process and the session."""
    return os.getpid(), id(db.session())


def leave_work_behind() -> None:
    db.session.add(Item(name="left behind"))
    db.session.flush()


def die() -> NoReturn:
    os._exit(9)
