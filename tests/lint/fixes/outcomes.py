"""Runs the module of a pair on an SQLite database, and says what came of it."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session, sessionmaker

from flask_safesession import SafeSession

from . import store
from .store import database, mail, models, shop
from .store.models import Base, Item

HERE = Path(__file__).parent
PAIRS = HERE / "pairs"


@dataclass(frozen=True)
class Outcome:
    """What a call came to.

    Attributes:
        result: What it returned, or the name of the exception that it raised.
        rows: The names that are stored after it.
        held: How many connections are out of the pool.
    """

    result: object
    rows: tuple[str, ...]
    held: int


def after(before: Path) -> str:
    """Return the other half of a pair."""
    return before.with_name(before.name.replace("_before", "_after")).read_text(encoding="utf-8")


def outcome(code: str, name: str, folder: Path, *, safe: bool) -> Outcome:
    """Run ``work(name)`` of the module *code*, with the extension if *safe*, where an item ``taken`` is stored."""
    engine = create_engine(f"sqlite:///{folder / 'items.db'}", connect_args={"timeout": 1})
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    database.SessionLocal = sessionmaker(engine)
    with Session(engine) as session:
        session.add(Item(name="taken"))
        session.commit()
    app = Flask("store")
    if safe:
        SafeSession(app, database.SessionLocal)
    with module_of(code) as module, app.app_context():
        result = _result(module.work, name)
        held = engine.pool.checkedout()  # type: ignore[attr-defined]
    return Outcome(result, _rows(engine), held)


def _result(work: Any, name: str) -> object:
    try:
        return work(name)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        return type(error).__name__


def _rows(engine: Engine) -> tuple[str, ...]:
    with Session(engine) as session:
        rows = tuple(sorted(session.scalars(select(Item.name))))
    engine.dispose()
    return rows


@contextmanager
def module_of(code: str) -> Iterator[Any]:
    """Run the module of a pair, which imports from ``store``."""
    module = types.ModuleType("work")
    names = {"work": module, "store": store}
    names |= {
        f"store.{each.__name__.rpartition('.')[2]}": each for each in (database, mail, models, shop)
    }
    sys.modules.update(names)
    try:
        exec(compile(code, "work.py", "exec"), vars(module))  # noqa: S102 - it is this test's own file
        yield module
    finally:
        for name in names:
            del sys.modules[name]
