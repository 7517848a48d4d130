"""What a job in phases is refused, before anything of it runs or where a phase gives what the next cannot use."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from sqlalchemy.orm import Session

from .. import errors
from .._core.guard import entered_by_hand
from .._core.hooks import hook_name
from .._core.ledger import ledger_of
from .._core.leftovers import uncommitted
from .._core.places import outside
from .._core.scope import Home
from .._functions import is_coroutine_function, kind_of_function, signature_of
from .._jobs.arguments import what_is_bound

__all__ = ["are_awaited", "check_outside", "check_values", "second_session"]

_RUNS_LATER = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

Phase = Callable[..., Any]


def are_awaited(prepare: Phase, execute: Phase, record: Phase) -> bool:
    """Whether the three are to be run in a coroutine.

    Raises:
        TypeError: If one of them cannot be called as it will be, or is awaited where *execute* is not.
    """
    phases = [
        _is_awaited(prepare, "prepare", "session"),
        _is_awaited(record, "record", "session", "result"),
    ]
    if _is_awaited(execute, "execute", "prepared"):
        return True
    if any(phases):
        role, phase = ("prepare", prepare) if phases[0] else ("record", record)
        raise TypeError(
            f"'{role}' is the coroutine function '{hook_name(phase)}', and 'execute' is '{hook_name(execute)}', a "
            "plain one: the event loop would stand still while it runs. Make it 'async def'; it can run a function "
            "that blocks by 'await AppContextManager().to_thread(…)'."
        )
    return False


def _is_awaited(phase: Phase, role: str, *arguments: str) -> bool:
    if _is_plain(phase, len(arguments)):
        return False
    if not callable(phase):
        raise TypeError(f"'{role}' is {phase!r}. Give a function.")
    is_awaited, kind = is_coroutine_function(phase), kind_of_function(phase)
    if kind is not None and not is_awaited:
        raise TypeError(
            f"'{role}' is '{hook_name(phase)}', which is {kind}: its body would run after its phase has ended. Give a "
            "plain function, or a coroutine function."
        )
    try:
        signature_of(phase).bind(*arguments)
    except TypeError as error:
        raise TypeError(
            f"'{role}' is '{hook_name(phase)}', and is called as '{role}({', '.join(arguments)})', which it does not "
            f"take: {error}. Give it these parameters."
        ) from None
    except ValueError:
        pass  # some functions that are written in C do not tell their parameters
    return is_awaited


def _is_plain(phase: Phase, count: int) -> bool:
    """The common case, told without :func:`inspect.signature`: ``def phase(...)`` with *count* parameters."""
    if type(phase) is not FunctionType or vars(phase):
        return False
    code = phase.__code__
    return (
        code.co_argcount == count and not code.co_kwonlyargcount and not code.co_flags & _RUNS_LATER
    )


def check_outside(home: Home, execute: Phase) -> None:
    """Refuse to hold a connection while *execute* runs.

    Raises:
        TransactionActiveError: If a transaction is open around.
    """
    session = home.suspended[-1] if home.suspended and home.scope is None else home.session()
    ledger = ledger_of(session)
    if ledger.owner is not None:
        around = f"inside the transaction that {ledger.owner.owner_text}"
    elif ledger.root is not None and entered_by_hand(ledger.root):
        around = "inside 'with session.begin():'"
    elif session.in_nested_transaction():
        around = "inside 'with session.begin_nested():'"
    else:
        return
    raise errors.TransactionActiveError(
        f"{outside().place} called 'run_in_phases' {around}, whose connection would be held while "
        f"'{hook_name(execute)}' runs. Call it outside of that block; a job that uses phases is run without "
        "'transactional=True'."
    )


def second_session(session: Session) -> errors.TransactionActiveError:
    """What is said where another session of the context has changes, which the first phase would not commit."""
    report = uncommitted(session)
    return errors.TransactionActiveError(
        f"{outside().place} called 'run_in_phases' while another session of the same context holds changes that nobody "
        f"committed{'' if report is None else f': {report.what}'}. Commit it, or roll it back, before."
    )


def check_values(prepared: object, prepare: Phase) -> None:
    """Refuse what the commit would expire; the scope of *prepare* is still open, and rolls back.

    Raises:
        DetachedArgumentError: If there is such a thing in *prepared*.
    """
    bound = what_is_bound(prepared)
    if bound is not None:
        raise errors.DetachedArgumentError(
            f"'{hook_name(prepare)}' returned {bound}, whose session gives its connection back before the next phase. "
            "Return primary keys and the values that are needed."
        )
