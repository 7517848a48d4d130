"""Which of the names in a project's settings something bears."""

from __future__ import annotations

from fnmatch import fnmatchcase

from .values import ClassValue, External, FunctionValue, Result, Value

__all__ = ["bears"]


def bears(text: str, value: Value, names: tuple[str, ...]) -> bool:
    """Whether something is called by one of *names*, as it is written here or where it is defined."""
    return any(_matches(each, names) for each in (text, _path_of(value)) if each)


def _path_of(value: Value) -> str:
    """Return the qualified name of a function or class, of the project or of another package."""
    if isinstance(value, External | Result):
        return value.path
    if isinstance(value, FunctionValue):
        return f"{value.function.module.name}.{value.function.facts.qualname}"
    if isinstance(value, ClassValue):
        return f"{value.cls.module.name}.{value.cls.facts.qualname}"
    return ""


def _matches(name: str, names: tuple[str, ...]) -> bool:
    """Whether *name* or its last parts match."""
    return any(
        name == each or fnmatchcase(name, each) or name.endswith(f".{each}") for each in names
    )
