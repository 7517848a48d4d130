"""What kind of function a decorator was put on."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from click import Command

from ._core.hooks import hook_name

__all__ = ["check_plain_function", "is_coroutine_function", "kind_of_function", "signature_of"]

_ON_A_FUNCTION = (
    "Put it directly on a function, below '@app.cli.command()', '@classmethod' or '@staticmethod', and on the methods "
    "of a class."
)


def check_plain_function(fn: object, call: str, *, coroutines: bool = False) -> None:
    """Refuse what *call*, such as ``"@transactional"`` or ``"run()"``, cannot wrap: at once, not when it is called.

    Args:
        fn: What was decorated, or given.
        call: What the message names.
        coroutines: Let coroutine functions pass.

    Raises:
        TypeError: If *fn* is no function, or a generator or coroutine function.
    """
    decorates = call.startswith("@")
    if isinstance(fn, str) and decorates:
        raise TypeError(
            f"'{call}' was given {fn!r} by position. Give it by name, such as 'propagation=\"{fn}\"'."
        )
    given = "was put on" if decorates else "was given"
    if not callable(fn) or isinstance(fn, (type, Command)):
        instead = _ON_A_FUNCTION if decorates else "Give it a function; its arguments come next."
        raise TypeError(f"'{call}' {given} {fn!r}. {instead}")
    kind = kind_of_function(fn)
    if kind is not None and not (coroutines and is_coroutine_function(fn)):
        raise TypeError(
            f"'{call}' {given} '{hook_name(fn)}', which is {kind}: its body runs after the call has "
            f"returned, when the transaction is over. {'Put it on' if decorates else 'Give it'} a plain function, and "
            "open 'with session_manager():' inside the body where it needs one."
        )


def signature_of(fn: Callable[..., object]) -> inspect.Signature:
    """What *fn* takes: seen through wrappers of this package, and not through those of others, which may add arguments.

    Raises:
        TypeError, ValueError: If it does not tell.
    """
    while (inner := getattr(fn, "__wrapped__", None)) is not None and _is_ours(fn):
        fn = inner
    return inspect.signature(fn, follow_wrapped=False)


def _is_ours(fn: Callable[..., object]) -> bool:
    module: str = getattr(fn, "__globals__", {}).get("__name__", "")
    return module.partition(".")[0] == __package__


def kind_of_function(fn: Callable[..., object]) -> str | None:
    """What *fn* is, if its body runs after the call has returned."""
    body = fn if inspect.isroutine(fn) else getattr(fn, "__call__", fn)  # noqa: B004 - an object's own body
    kinds: dict[str, Callable[[object], bool]] = {
        "a generator function": inspect.isgeneratorfunction,
        "a coroutine function": inspect.iscoroutinefunction,
        "an asynchronous generator function": inspect.isasyncgenfunction,
    }
    return next((kind for kind, is_kind in kinds.items() if is_kind(fn) or is_kind(body)), None)


def is_coroutine_function(fn: Callable[..., object]) -> bool:
    """Whether a call of *fn* has to be awaited."""
    return kind_of_function(fn) == "a coroutine function"
