"""Import what only some commands need, and say which extra brings it."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class MissingExtraError(ImportError):
    """A library of an extra is not installed."""


def require_extra(module: str, *, extra: str = "example") -> Any:
    """Return *module*, or raise `MissingExtraError` that names the *extra* to install."""
    try:
        return import_module(module)
    except ImportError as exc:
        package = (exc.name or module).partition(".")[0]
        raise MissingExtraError(
            f"{package!r} could not be imported ({exc}); the roster planner needs it here."
            f" Install its extra: pip install 'flask-safesession[{extra}]'",
            name=package,
        ) from exc
