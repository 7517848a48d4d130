"""Which calls wait for something else than the database, and which hand work to a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .effects import text_of
from .facts import Call, Const, Expression
from .origins import last_name
from .surroundings import (
    EXECUTORS,
    ON_COMMIT,
    OPENAI_TAILS,
    QUEUE_METHODS,
    SLOW_CALLS,
    SLOW_CLASSES,
    SLOW_CLIENTS,
    SLOW_METHODS,
    TASK_METHODS,
)
from .values import External, FunctionValue, Instance, Query, Result, Rows, Session

if TYPE_CHECKING:
    from .effects import Effects
    from .symbols import Function

__all__ = ["delay_of", "enqueues", "hands_over", "waits"]

_QUIET_POPEN = frozenset({"kill", "terminate", "send_signal", "pid", "returncode"})
_CONNECTS_TO = frozenset({"smtplib.SMTP", "smtplib.SMTP_SSL"})
_DELAYS = frozenset({"countdown", "eta"})
_ACTOR_MARKS = frozenset({"actor", "task", "job"})


def waits(call: Call, scope: Function, effects: Effects) -> str:
    """Return the name of what *call* waits for, empty where it does not wait."""
    text = text_of(call.func)
    if effects.is_named(call, scope, effects.project.options.slow_calls):
        return text
    name = last_name(call.func)
    value = effects.evaluator.value(call.func, scope)
    if isinstance(value, External):
        if SLOW_CALLS.match(value.path) and not _returns_at_once(value.path, call):
            return text
        return (
            text
            if value.path.endswith(OPENAI_TAILS) or (name in SLOW_METHODS and "." in text)
            else ""
        )
    if isinstance(value, Result):
        return (
            text
            if _slow_object(value.path) or (name in SLOW_METHODS) or text.endswith(OPENAI_TAILS)
            else ""
        )
    if value is None and (name in SLOW_METHODS or text.endswith(OPENAI_TAILS)):
        return text if "." in text else ""
    return ""


def _returns_at_once(path: str, call: Call) -> bool:
    """Whether it is ``sleep(0)``, which only lets others run, or ``SMTP()``, which connects later."""
    if path in _CONNECTS_TO:
        return not call.args and all(name != "host" for name, _ in call.keywords)
    return len(call.args) == 1 and isinstance(call.args[0], Const) and call.args[0].value == 0


def _slow_object(path: str) -> bool:
    for known, methods in SLOW_CLASSES.items():
        if path.startswith(f"{known}.") and path[len(known) + 1 :] in methods:
            return True
    if path.startswith("subprocess.Popen."):
        return path.rpartition(".")[2] not in _QUIET_POPEN
    return any(path.startswith(f"{each}.") for each in SLOW_CLIENTS)


def enqueues(call: Call, scope: Function, effects: Effects) -> str:
    """Return the name of what *call* hands work to, empty where it does not, or gives the commit its time."""
    return "" if delay_of(call) else hands_over(call, scope, effects)


def delay_of(call: Call) -> str:
    """Return the argument by which a message waits before it is worked on, empty where it does not."""
    if last_name(call.func) not in TASK_METHODS | QUEUE_METHODS:
        return ""
    return next((key for key, value in call.keywords if key in _DELAYS and _delays(value)), "")


def _delays(value: Expression) -> bool:
    """Whether it is no plain 0 or None, which mean at once."""
    return not (isinstance(value, Const) and not value.value)


def hands_over(call: Call, scope: Function, effects: Effects) -> str:
    """Return the name of what *call* hands work to, at once or later, empty where it does not."""
    name = last_name(call.func)
    text = text_of(call.func)
    if effects.is_named(call, scope, effects.project.options.sinks):
        return text
    if "." not in text:
        return ""
    if name in ON_COMMIT:
        return ""
    if name in TASK_METHODS or name in QUEUE_METHODS:
        owner = effects.owner(call.func, scope)
        if (isinstance(owner, Result) and owner.path in EXECUTORS) or isinstance(
            owner, Session | Query | Rows
        ):
            return ""
        value = effects.evaluator.value(call.func, scope)
        if isinstance(value, FunctionValue) and not isinstance(owner, FunctionValue | Instance):
            return ""
        return text
    if name == "send":
        owner = effects.owner(call.func, scope)
        if isinstance(owner, FunctionValue) and owner.function.binding_names & _ACTOR_MARKS:
            return text
    return ""
