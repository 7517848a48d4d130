"""SQLAlchemy asks ``session.get_bind()`` before each statement, flush and connection: the place to refuse them.

The method is replaced on the one session, and only while there is something to refuse.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from .ledger import ledger_of

__all__ = [
    "allow_statements",
    "refuse_overdue",
    "refuse_statements",
    "refuse_without_scope",
    "vet_engines",
    "watch_statements",
]

MakeError = Callable[[], Exception]
Bind = Callable[..., Engine | Connection]

_NAME = "get_bind"


def refuse_statements(session: Session, make_error: MakeError) -> Bind | None:
    """Raise for each further statement; return what stood there before, for :func:`allow_statements`."""
    return _replace(session, functools.partial(_refused, make_error))


def watch_statements(session: Session, notice: Callable[[], None]) -> None:
    """Call *notice* before each further statement, which then goes on."""
    _replace(session, functools.partial(_watched, weakref.ref(session), notice))


def refuse_without_scope(session: Session, make_error: MakeError) -> Bind | None:
    """The same for statements that no scope owns."""
    return _replace(session, functools.partial(_owned, weakref.ref(session), make_error))


def vet_engines(session: Session, vet: Callable[[Engine], None]) -> None:
    """Let *vet* see, and refuse, each engine that *session* is about to use."""
    _replace(session, functools.partial(_vetted, weakref.ref(session), vet))


def refuse_overdue(session: Session) -> None:
    """Raise for each further statement of a transaction that is overdue; see ``Ledger.overdue``."""
    before: Bind | None = vars(session).get(_NAME)
    _replace(session, functools.partial(_overdue, weakref.ref(session), before))


def allow_statements(session: Session, before: Bind | None = None) -> None:
    """Go back to what stood there *before*."""
    if before is None:
        vars(session).pop(_NAME, None)
    else:
        vars(session)[_NAME] = before


def _replace(session: Session, bind: Bind) -> Bind | None:
    before: Bind | None = vars(session).get(_NAME)
    vars(session)[_NAME] = bind
    return before


def _refused(make_error: MakeError, *_: Any, **__: Any) -> Engine | Connection:
    raise make_error()


def _owned(
    reference: weakref.ref[Session], make_error: MakeError, *args: Any, **kwargs: Any
) -> Engine | Connection:
    session = cast(Session, reference())  # it is the one that asks
    if ledger_of(session).owner is None:
        raise make_error()
    return type(session).get_bind(session, *args, **kwargs)


def _overdue(
    reference: weakref.ref[Session], before: Bind | None, *args: Any, **kwargs: Any
) -> Engine | Connection:
    session = cast(Session, reference())  # it is the one that asks
    ledger_of(session).check_overdue()
    allow_statements(session, before)  # that transaction has ended
    return session.get_bind(*args, **kwargs)


def _watched(
    reference: weakref.ref[Session], notice: Callable[[], None], *args: Any, **kwargs: Any
) -> Engine | Connection:
    notice()
    session = cast(Session, reference())  # it is the one that asks
    return type(session).get_bind(session, *args, **kwargs)


def _vetted(
    reference: weakref.ref[Session], vet: Callable[[Engine], None], *args: Any, **kwargs: Any
) -> Engine | Connection:
    session = cast(Session, reference())  # it is the one that asks
    bind = type(session).get_bind(session, *args, **kwargs)
    if isinstance(bind, Engine):
        vet(bind)
    return bind
