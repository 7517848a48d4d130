"""``safe_commit()`` and ``add_all_or_abort()``: the two helpers for code that writes its own transactions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from ._answers import http_answer
from ._core.faults import classify
from ._core.notes import add_note
from ._unit import Unit, current_unit

__all__ = ["add_all_or_abort", "safe_commit"]

T = TypeVar("T")


def safe_commit() -> None:
    """Commit the session of the current app context, or roll it back and raise; inside a scope only flush.

    Raises:
        NoAppError: Without an app context or a database.

    .. versionadded:: 0.1
    """
    save(current_unit())


def add_all_or_abort(instances: Iterable[T], *, description: str | None = None) -> list[T]:
    """Store all *instances*, or none and answer the request with the status that fits.

    409 for a duplicate or a row that is still referred to, 422 for missing or wrong values and for a reference to a
    row that does not exist, 503 with ``Retry-After`` while the database is not available. Other errors are raised.

    Args:
        instances: New instances of mapped classes.
        description: The text of the answer; None takes one that fits the status. SQL never gets into it.

    Returns:
        The instances as a list.

    Raises:
        werkzeug.exceptions.HTTPException: If the database refuses them.

    .. versionadded:: 0.1
    """
    return store(current_unit(), instances, description)


def save(unit: Unit) -> None:
    """Do what :func:`safe_commit` says."""
    _check_synchronous(unit, "safe_commit")
    session = unit.session()
    if unit.scope is not None:
        session.flush()
        return
    try:
        session.commit()
    except BaseException as error:
        _roll_back(session, error)
        raise


def store(unit: Unit, instances: Iterable[T], description: str | None) -> list[T]:
    """Do what :func:`add_all_or_abort` says."""
    if not isinstance(instances, Iterable):
        raise TypeError(f"'instances' is {instances!r}. Give a list of instances, also for one.")
    _check_synchronous(unit, "add_all_or_abort")
    wanted = list(instances)
    session = unit.session()
    try:
        session.add_all(wanted)
        save(unit)
    except BaseException as error:
        if unit.scope is None:
            _roll_back(session, error)
        if isinstance(error, SQLAlchemyError):
            fault = classify(error)
            if fault.http_status != 500:
                raise http_answer(fault, description) from error
        raise
    return wanted


def _check_synchronous(unit: Unit, name: str) -> None:
    if unit.tasks is not None:
        unit.tasks.refuse_blocking(
            f"'{name}()', which is synchronous,",
            "Add to the session that the block gave, and call 'await session.flush()' on it; the block commits",
        )


def _roll_back(session: Session, error: BaseException) -> None:
    try:
        session.rollback()
    except Exception as failure:  # noqa: BLE001 - the first error is the one to raise
        session.invalidate()
        add_note(error, f"The rollback failed too: {type(failure).__name__}: {failure}")
