"""What a test asks for, by its fixtures and marks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest

__all__ = ["GUARD", "Wish", "check", "place_guard", "wish_of"]

GUARD = "safesession_guard"
MARK = "safesession"

_ISOLATIONS = ("rollback", "commit")
_BY_FIXTURE = {"db_session": "rollback", "db_engine": "rollback", "transactional_db": "commit"}
_OTHERS = ("captured_commit_hooks", "faults", "statements", "assert_statements")


class Wish(NamedTuple):
    """What a test asks for.

    Attributes:
        isolation: ``"rollback"``, ``"commit"``, or None where it asks for neither.
        reset_sequences: The numbers of new rows begin at 1.
    """

    isolation: str | None
    reset_sequences: bool


def check(item: pytest.Item) -> str | None:
    """What is wrong with the marks of *item*, if anything is."""
    try:
        wish_of(item)
    except ValueError as error:
        return f"{item.nodeid}: {error}"
    return None


def wish_of(item: pytest.Item) -> Wish:
    """What *item* asks for.

    Raises:
        ValueError: If its marks and fixtures disagree, or say what is not known.
    """
    marks = [_read(each) for each in item.iter_markers(MARK)]
    asked = [*_of_marks(marks), *_of_fixtures(item)]
    isolations = {value for value, _ in asked}
    needing = [*(source for _, source in asked), *map(_quoted, _own_fixtures(item, _OTHERS))]
    if needing and not _has_app(item):
        raise ValueError(
            f"{needing[0].capitalize()} needs the app, and there is no fixture 'app'. Write one in 'conftest.py' that "
            "returns the Flask app."
        )
    if len(isolations) > 1:
        words = " and ".join(f"'{value}' by {source}" for value, source in asked)
        raise ValueError(f"It is to be isolated with {words}. Ask for one of them.")
    isolation = isolations.pop() if isolations else None
    resets = {each["reset_sequences"] for each in marks if "reset_sequences" in each}
    if len(resets) > 1:
        raise ValueError(
            "It has a mark with 'reset_sequences=True' and one with 'reset_sequences=False'. Give one of them."
        )
    if marks and isolation is None and not any(resets):
        raise ValueError(
            "Its mark 'safesession' says nothing. Give 'isolation=\"rollback\"' or 'isolation=\"commit\"'."
        )
    if any(resets) and isolation != "commit":
        raise ValueError(
            "'reset_sequences=True' is for real transactions. Ask for 'isolation=\"commit\"' with it."
        )
    return Wish(isolation, any(resets))


def _read(mark: pytest.Mark) -> dict[str, Any]:
    names = ("isolation", "reset_sequences")
    unknown = [each for each in mark.kwargs if each not in names]
    unknown += mark.args[len(names) :]
    if unknown:
        raise ValueError(
            f"Its mark 'safesession' has an argument {unknown[0]!r}, which is not known. "
            "Give 'isolation' and 'reset_sequences'."
        )
    found = {**dict(zip(names, mark.args, strict=False)), **mark.kwargs}
    if found.get("isolation") not in (*_ISOLATIONS, None):
        raise ValueError(
            f"Its mark says 'isolation={found['isolation']!r}'. Give 'rollback' or 'commit'."
        )
    if found.get("reset_sequences", False) not in (True, False):
        raise ValueError(
            f"Its mark says 'reset_sequences={found['reset_sequences']!r}'. Give True or False."
        )
    return found


def _of_marks(marks: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for mark in marks:
        if mark.get("isolation"):
            yield mark["isolation"], "a mark"


def _of_fixtures(item: pytest.Item) -> Iterator[tuple[str, str]]:
    for name in _own_fixtures(item):
        yield _BY_FIXTURE[name], _quoted(name)


def _quoted(fixture: str) -> str:
    return f"the fixture '{fixture}'"


def _own_fixtures(item: pytest.Item, names: Iterable[str] = _BY_FIXTURE) -> list[str]:
    """Those of *names* that *item* asks for and gets from the plugin."""
    found = ((name, _definition(item, name)) for name in names)
    return [
        name
        for name, definition in found
        if definition is not None and definition.func.__module__.startswith(__package__)
    ]


def place_guard(item: pytest.Item) -> None:
    """Let the guard be set up just after the app of *item*, and after the fixtures that last for several tests.

    The session follows it. What else is made from the app, such as a client that keeps the context of its last
    request, comes later, and is gone when the session is closed and the guard looks for what is left.
    """
    names: list[str] | None = getattr(item, "fixturenames", None)
    if names is None or not ("app" in names or any(item.iter_markers(MARK))):
        return
    order = _in_order_of_setup(item, names)
    before = [at for at, name in enumerate(order) if name == "app" or _lasts(item, name)]
    end = max(before, default=-1) + 1
    own = [name for name in _own_fixtures(item) if name in order[end:]]
    names[:] = [*order[:end], GUARD, *own, *(each for each in order[end:] if each not in own)]


def _in_order_of_setup(item: pytest.Item, names: Iterable[str]) -> list[str]:
    """*names* as pytest makes them: each after those that it asks for itself."""
    order: dict[str, None] = {}
    begun: set[str] = set()

    def visit(name: str) -> None:
        begun.add(name)
        for needed in _needed(item, name):
            if needed not in begun:
                visit(needed)
        order[name] = None

    for name in names:
        visit(name)
    return list(order)


def _needed(item: pytest.Item, name: str) -> Iterator[str]:
    """What the fixture *name* asks for, and the one that it overrides, if it asks for that."""
    for definition in reversed(_definitions(item, name)):
        yield from definition.argnames
        if name not in definition.argnames:
            return


def _has_app(item: pytest.Item) -> bool:
    return bool(item.session._fixturemanager.getfixturedefs("app", item))  # noqa: SLF001 - no public way to ask


def _lasts(item: pytest.Item, name: str) -> bool:
    definition = _definition(item, name)
    return definition is not None and definition.scope != "function"


def _definition(item: pytest.Item, name: str) -> Any:
    """The fixture that *item* gets under *name*."""
    return next(reversed(_definitions(item, name)), None)


def _definitions(item: pytest.Item, name: str) -> Sequence[Any]:
    """The fixtures of that name, each of which overrides those before it; pytest has no public way to ask."""
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    found: Sequence[Any] = known.get(name, ())
    return found
