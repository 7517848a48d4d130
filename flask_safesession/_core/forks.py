"""Forks: a child leaves the connections and sessions of its parent alone, and begins with pools of its own.

A connection that two processes use belongs to nobody: what the child sends, or closes, ends the parent's transaction.
The drivers differ: mysqlclient says good-bye to the server when a connection is collected, psycopg and psycopg2 look at
the process id first, and SQLite rolls the parent's file back. So a connection of the parent is never closed in the
child, never collected, not even at the interpreter's exit, and taken out of everybody's hands.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session
from sqlalchemy.orm.session import _sessions
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection

from .. import errors
from .inherited import InheritedConnection, disinherit
from .ledger import Ledger, find_ledger
from .places import outside

__all__ = ["after_fork_in_child", "alive", "is_in_memory", "warn_of_silent_forks", "watch"]

logger = logging.getLogger("flask_safesession")

_WATCHED = "_safesession_watched"


def watch(engine: Engine) -> None:
    """Give each forked child another pool for *engine*; a database in memory is copied with its process, and stays."""
    marks = vars(engine.dialect)
    if _WATCHED in marks or is_in_memory(engine):
        return
    marks[_WATCHED] = engine  # an engine with execution options may be known to nobody else
    _watched.engines[id(engine)] = engine
    event.listen(engine, "connect", _note)


def after_fork_in_child(callback: Callable[[], None]) -> None:
    """Call *callback* in each forked child, when the connections of the parent are out of reach."""
    _watched.callbacks.append(callback)


def warn_of_silent_forks() -> None:
    """Warn in the master of uWSGI, which is about to fork without Python's hooks unless it is told to call them."""
    uwsgi = sys.modules.get("uwsgi")  # it is there within its server only
    if uwsgi is None or uwsgi.worker_id() or "py-call-osafterfork" in uwsgi.opt:
        return
    if uwsgi.numproc > 1 or "master" in uwsgi.opt:
        outside().warn(
            "uWSGI forks its workers without telling Python: they would share the connections that the app has opened. "
            "Set 'py-call-osafterfork = true', or 'lazy-apps = true' to make the app in each worker.",
            errors.SafeSessionWarning,
        )


class Inheritance:
    """What a child must neither use nor lose.

    Args:
        before: What was there just before the fork, while other threads went on.
    """

    def __init__(self, before: Inheritance | None = None) -> None:
        self.before = before
        self.sessions: list[Session] = [each for each in alive(_sessions) if find_ledger(each)]
        self.engines: list[Engine] = alive(_watched.engines)
        self.pools: list[Pool] = [each.pool for each in self.engines]
        self.entries: list[Any] = alive(_watched.entries)
        self.lent: list[Any] = [*filter(None, map(_lent, self.entries)), *self._in_ledgers()]
        # What has been detached from its pool has none.
        self.entries += [each._connection_record for each in self.lent]  # noqa: SLF001 - no other way back
        self.raw = [each.dbapi_connection for each in [*self.entries, *self.lent] if each]
        self.cursors: list[object] = []

    def _in_ledgers(self) -> Iterator[PoolProxiedConnection]:
        """Of engines that a session met when they were connected already."""
        for session in self.sessions:
            ledger: Ledger = find_ledger(session)  # type: ignore[assignment]
            for connection, lent in list(ledger.connections.items()):
                if not is_in_memory(connection.engine):
                    yield lent

    def keep_for_ever(self) -> None:
        """Take a reference that nobody holds: at its exit the interpreter lets go of modules and what they know."""
        self.cursors = _cursors([each.dbapi_connection for each in self.lent])
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    def refuse(self) -> None:
        """Put it out of everybody's reach, without a word to any database."""
        for lent in self.lent:
            lent.dbapi_connection = InheritedConnection()
        for entry in filter(None, self.entries):
            entry.dbapi_connection = None
        for session in self.sessions:
            disinherit(session)
        for engine in self.engines:
            _renew_pool(engine)


class _Watched:
    """What is known in this process, and what one of its forks is about to inherit."""

    def __init__(self) -> None:
        self.engines: weakref.WeakValueDictionary[int, Engine] = weakref.WeakValueDictionary()
        self.entries: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.callbacks: list[Callable[[], None]] = []
        self._inheritance: Inheritance | None = None

    def before(self) -> None:
        """Hold everything: in the child the sessions of other threads are gone before its hooks run."""
        self._inheritance = Inheritance()

    def in_parent(self) -> None:
        self._inheritance = None

    def in_child(self) -> None:
        # Looked up again, for what came in between; a server in C may even skip the hooks before.
        inheritance, self._inheritance = Inheritance(self._inheritance), None
        inheritance.keep_for_ever()
        inheritance.refuse()
        for callback in self.callbacks:
            callback()


_watched = _Watched()


def _note(_: object, entry: ConnectionPoolEntry) -> None:
    _watched.entries[id(entry)] = entry


def alive(known: weakref.WeakValueDictionary[int, Any]) -> list[Any]:
    """A list made in one step: other threads go on meanwhile."""
    return [each for ref in known.valuerefs() if (each := ref()) is not None]


def _lent(entry: Any) -> PoolProxiedConnection | None:
    """What somebody has checked out of the pool."""
    ref = entry.fairy_ref
    lent: PoolProxiedConnection | None = None if ref is None else ref()
    return lent


def is_in_memory(engine: Engine) -> bool:
    """Whether the database of *engine* lives in this process."""
    url = engine.url
    if engine.dialect.name != "sqlite":
        return False
    return url.database in (None, "", ":memory:") or url.query.get("mode") == "memory"


def _renew_pool(engine: Engine) -> None:
    try:
        engine.dispose(close=False)
    except Exception:
        # A listener of the program's own, which comes when the pool is new already.
        logger.exception("A listener failed when '%s' got its pool for a forked child.", engine.url)


def _cursors(raw: list[object]) -> list[object]:
    """The cursors of *raw* connections: one that streams rows reads all that are left when it is collected."""
    holders = gc.get_referrers(*raw) if raw else []
    attributes = [each for each in holders if type(each) is dict]
    holders += gc.get_referrers(*attributes) if attributes else []
    return [each for each in holders if hasattr(type(each), "fetchone")]


with contextlib.suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(
        before=_watched.before,
        after_in_parent=_watched.in_parent,
        after_in_child=_watched.in_child,
    )
