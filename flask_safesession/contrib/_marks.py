"""What the function of a job says about itself, where its framework has no options of its own for that."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

from flask_safesession import AppContextManager

__all__ = ["is_transactional", "job_options", "plain"]

F = TypeVar("F", bound=Callable[..., object])

_MARK: Final = "_safesession_transactional"


def job_options(*, transactional: bool) -> Callable[[F], F]:
    """Say for one job's function whether it runs in one transaction, whatever its scheduler or worker says.

    Raises:
        TypeError: If *transactional* is neither True nor False.

    .. versionadded:: 0.1
    """
    AppContextManager(transactional=transactional)  # checks it

    def mark(fn: F) -> F:
        setattr(fn, _MARK, transactional)
        return fn

    return mark


def is_transactional(fn: Any, default: bool) -> bool:
    """What :func:`job_options` says of *fn*, else *default*."""
    return bool(getattr(plain(fn), _MARK, default))


def plain(fn: Any) -> Any:
    """The function of a partial."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn
