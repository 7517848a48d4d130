"""What stands in a forked child in the place of the parent's sessions and connections: it sends nothing.

Giving up is taken in silence, so that blocks and frames of the parent unwind; everything else is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any, NoReturn, cast

from sqlalchemy.orm import Session

from .ledger import Ledger, ledger_of
from .sharing import release
from .wording import inherited

__all__ = ["InheritedConnection", "disinherit"]

_SESSION = "a session"
_CONNECTION = "a database connection"


class InheritedConnection:
    """A driver's connection (see :pep:`249`) of the parent process."""

    notices: tuple[str, ...] = ()  # psycopg2's dialect reads them after each statement

    def cursor(self, *_: Any, **__: Any) -> InheritedCursor:
        return InheritedCursor(self)

    def rollback(self) -> None:
        """The transaction is the parent's, who ends it."""

    def close(self) -> None:
        """So is the connection."""

    def __getattr__(self, name: str) -> NoReturn:
        raise inherited(_CONNECTION)


class InheritedCursor:
    """Its cursor; it takes a ROLLBACK TO SAVEPOINT, with which ``begin_nested()`` unwinds."""

    description = None
    rowcount = -1
    lastrowid = None

    def __init__(self, connection: InheritedConnection) -> None:
        self.connection = connection

    def execute(self, statement: object, *_: Any, **__: Any) -> None:
        if not str(statement).upper().startswith("ROLLBACK"):
            raise inherited(_CONNECTION)

    def close(self) -> None:
        """There is nothing to close."""

    def __getattr__(self, name: str) -> NoReturn:
        raise inherited(_CONNECTION)


class InheritedSession(Session):
    """What is put in front of the class of a session of the parent process; no event of SQLAlchemy fires."""

    def get_bind(self, *_: Any, **__: Any) -> NoReturn:
        raise inherited(_SESSION)  # SQLAlchemy asks before each statement and flush

    def begin(self, nested: bool = False) -> NoReturn:
        raise inherited(_SESSION)

    def safesession_begin(self) -> NoReturn:
        raise inherited(_SESSION)

    def commit(self) -> NoReturn:
        raise inherited(_SESSION)

    def safesession_commit(self, _: Ledger) -> NoReturn:
        raise inherited(_SESSION)

    def prepare(self) -> NoReturn:
        raise inherited(_SESSION)

    def in_transaction(self) -> bool:
        return False

    def rollback(self) -> None:
        """The transaction is the parent's."""

    def close(self) -> None:
        """So are the connection and the objects."""

    def reset(self) -> None:
        """The same as for ``close()``."""

    def invalidate(self) -> None:
        """The same as for ``close()``."""


def disinherit(session: Session) -> None:
    """Refuse *session* from now on, and forget what waited for the end of its transaction."""
    if isinstance(session, InheritedSession):
        return
    ledger = ledger_of(session)
    ledger.end()
    ledger.own(None)
    ledger.hooks = None
    release(session)
    session.__class__ = _inherited_class(cast(Hashable, type(session)))


@functools.cache
def _inherited_class(kind: Any) -> type[Session]:
    return type(kind.__name__, (InheritedSession, kind), {})
