"""What is put on a dialect for two-phase commit: ids that belong together, and the order that :class:`Pact` keeps."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import Dialect

from .commit import check_all
from .ledger import Ledger, find_ledger
from .pact import ORIGINAL_OF, Pact

__all__ = ["joining", "wrap_twophase"]

# The session whose transaction begins on an engine; SQLAlchemy asks the dialect for an id, and does not say for whom.
joining: ContextVar[tuple[Ledger, Engine] | None] = ContextVar(
    "flask_safesession.joining", default=None
)


def wrap_twophase(dialect: Dialect) -> None:
    """Put the wrappers on one dialect, which belongs to one engine."""
    _wrap_xid(dialect)
    for name, make in (
        ("prepare_twophase", _preparing),
        ("commit_twophase", _committing),
        ("rollback_twophase", _rolling_back),
    ):
        original = getattr(dialect, f"do_{name}")
        vars(dialect).update({f"{ORIGINAL_OF}{name}": original, f"do_{name}": make(original)})


def _wrap_xid(dialect: Dialect) -> None:
    original: Callable[[], Any] = dialect.create_xid

    def create_xid() -> Any:
        joined = joining.get()
        if joined is None:
            return original()
        ledger, engine = joined
        if ledger.pact is None:
            ledger.pact = Pact()
        return ledger.pact.name_part(engine)

    vars(dialect)["create_xid"] = create_xid


def _pact(connection: Connection) -> Pact | None:
    ledger = find_ledger(connection)
    return None if ledger is None else ledger.pact


def _preparing(original: Callable[..., None]) -> Callable[..., None]:
    """Check first for a transaction that was given up; then prepare all parts at the first call."""

    def do_prepare_twophase(connection: Connection, xid: Any) -> None:
        ledger, pact = find_ledger(connection), _pact(connection)
        if pact is not None and pact.prepared:
            return
        if ledger is not None:
            check_all(ledger)
            if ledger.owner is not None:
                ledger.owner.undo_demands()
        if ledger is None or pact is None:
            _prepare_alone(original, connection, xid)
        else:
            pact.prepare(ledger)

    return do_prepare_twophase


def _prepare_alone(original: Callable[..., None], connection: Connection, xid: Any) -> None:
    try:
        original(connection, xid)
    except BaseException as error:
        # The drivers take it for prepared now, and would roll back what the server does not know.
        connection.invalidate(error)
        raise


def _committing(original: Callable[..., None]) -> Callable[..., None]:
    """Commit all parts at the first call."""

    def do_commit_twophase(connection: Connection, *arguments: Any, **named: Any) -> None:
        ledger, pact = find_ledger(connection), _pact(connection)
        if ledger is None or pact is None:
            original(connection, *arguments, **named)
        elif connection not in pact.over:
            pact.commit(ledger)

    return do_commit_twophase


def _rolling_back(original: Callable[..., None]) -> Callable[..., None]:
    """Roll all prepared parts back at the first call, and others one by one."""

    def do_rollback_twophase(connection: Connection, *arguments: Any, **named: Any) -> None:
        pact = _pact(connection)
        if pact is not None and connection in pact.prepared:
            pact.roll_back()
        elif pact is None or connection not in pact.over:
            original(connection, *arguments, **named)

    return do_rollback_twophase
