"""Values inside of values: what containers and dataclasses hold, however deep, and the same with other parts."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import uuid
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from contextlib import suppress
from types import MappingProxyType, SimpleNamespace
from typing import Any, TypeVar

from sqlalchemy import Row

__all__ = ["CannotRebuildError", "copy_containers", "is_plain", "leaves", "rebuild"]

T = TypeVar("T")

_PLAIN = frozenset(
    {int, str, float, bool, bytes, complex, type(None), decimal.Decimal, uuid.UUID}
    | {dt.datetime, dt.date, dt.time, dt.timedelta}
)
_SEQUENCES = (list, tuple, set, frozenset, deque, Row, UserList)
_MAPPINGS = (dict, MappingProxyType, UserDict, ChainMap)
_VIEWS = (KeysView, ValuesView, ItemsView)


class CannotRebuildError(Exception):
    """A container of which no other can be made; the message is what it is."""


def is_plain(value: Any) -> bool:
    """Whether *value* is of a type that holds nothing else."""
    return type(value) in _PLAIN


def leaves(value: Any, *atoms: type) -> Iterator[Any]:
    """What is in *value* and is no container, each object once; *value* itself if it is none.

    Args:
        value: Anything.
        atoms: Classes whose instances are not looked into.
    """
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if is_plain(each) or id(each) in seen:
            continue
        seen.add(id(each))
        inside = None if type(each) in atoms else _inside(each)
        if inside is None:
            yield each
        else:
            waiting.extend(reversed(inside))


def _inside(value: Any) -> list[Any] | None:
    """The parts of a container; None for anything else, and for what does not let itself be read."""
    kind = type(value)
    with suppress(Exception):  # a class of the reader's own may do anything
        if issubclass(kind, _SEQUENCES) or issubclass(kind, _VIEWS):
            return list(value)
        if issubclass(kind, _MAPPINGS):
            return [*value.keys(), *value.values()]
        if kind is SimpleNamespace:
            return list(vars(value).values())
        if _is_dataclass(kind):
            return list(_fields(value).values())
    return None


def _is_dataclass(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) and not hasattr(kind, "_sa_class_manager")


def _fields(value: Any) -> dict[str, Any]:
    names = (field.name for field in dataclasses.fields(value))
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def rebuild(value: Any, convert: Callable[[Any], Any], *atoms: type) -> Any:
    """*value* with other containers, in which each leaf is what *convert* makes of it.

    What is there twice, or contains itself, is so again.

    Raises:
        CannotRebuildError: If no other container of one's kind can be made.
    """
    return _Rebuilding(convert, atoms).of(value)


class _Rebuilding:
    def __init__(self, convert: Callable[[Any], Any], atoms: tuple[type, ...]) -> None:
        self._convert = convert
        self._atoms = atoms
        self._made: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        if is_plain(value):
            return value
        if id(value) not in self._made:
            made = self._make(value)
            self._made.setdefault(id(value), made)
        return self._made[id(value)]

    def _make(self, value: Any) -> Any:
        kind = type(value)
        if kind in self._atoms or _inside(value) is None:
            return self._convert(value)
        if issubclass(kind, (tuple, Row)):
            return self._tuple(value)
        if issubclass(kind, frozenset):
            return frozenset(map(self.of, value))
        fill = self._filler(kind)
        if fill is None:
            raise CannotRebuildError(f"a '{kind.__name__}'")
        made = self._made[id(value)] = _empty(value)
        fill(made, value)
        return made

    def _tuple(self, value: Any) -> Any:
        items = [self.of(each) for each in value]
        make = getattr(type(value), "_make", None)
        is_named = make is not None and not issubclass(type(value), Row)
        return make(items) if make is not None and is_named else tuple(items)

    def _filler(self, kind: type) -> Callable[[Any, Any], None] | None:
        if issubclass(kind, dict):
            return self._fill_dict
        if issubclass(kind, (list, deque)):
            return lambda made, value: made.extend(map(self.of, value))
        if issubclass(kind, set):
            return lambda made, value: made.update(map(self.of, value))
        if kind is SimpleNamespace or _is_dataclass(kind):
            return self._fill_attributes
        return None

    def _fill_dict(self, made: Any, value: Any) -> None:
        for key, each in value.items():
            made[self.of(key)] = self.of(each)

    def _fill_attributes(self, made: Any, value: Any) -> None:
        attributes = vars(value) if type(value) is SimpleNamespace else _fields(value)
        for name, each in attributes.items():
            object.__setattr__(made, name, self.of(each))  # a frozen dataclass too


def _empty(value: Any) -> Any:
    """A copy of a container without its parts; SQLAlchemy's own lists, which have an owner, as plain ones."""
    kind = type(value)
    if issubclass(kind, (list, set, dict)) and kind.__module__.startswith("sqlalchemy."):
        return next(base() for base in (list, set, dict) if issubclass(kind, base))
    made = copy.copy(value)
    if hasattr(made, "clear") and issubclass(kind, (list, set, dict, deque)):
        made.clear()
    return made


def copy_containers(value: T) -> T:
    """*value* with lists, dicts, sets and deques of its own, however deep; all else in it is the same object."""
    if isinstance(value, tuple) and all(map(is_plain, value)):
        return value
    shared: dict[int, Any] = {}
    seen: set[int] = set()
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        if is_plain(each) or id(each) in seen:
            continue
        seen.add(id(each))
        if getattr(each, "_sa_adapter", None) is not None:
            shared[id(each)] = _empty(
                each
            )  # a copy would refer to the owner; instances in it are refused before
        elif issubclass(type(each), dict):
            waiting += [
                *dict.keys(each),
                *dict.values(each),
            ]  # some hide a part, as those of Werkzeug
        elif issubclass(type(each), (list, tuple, set, frozenset, deque)):
            waiting += each
        else:
            shared[id(each)] = each
    return copy.deepcopy(value, shared)
