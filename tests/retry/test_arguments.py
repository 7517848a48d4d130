"""The arguments of a function that is tried again."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import current_app
from sqlalchemy import select
from werkzeug.datastructures import MultiDict

from flask_safesession import current_scope, session_manager, transactional
from flask_safesession.errors import DetachedArgumentError
from tests.kit import Kit

from .faults import QUICK, locked


class Plain:
    """An object of the application."""


@transactional(retry=QUICK)
def grow(*values: Any, **named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Change whatever can be changed, and fail twice."""
    for value in (*values, *named.values()):
        _grow(value)
    scope = current_scope()
    if scope is not None and scope.attempt < 3:
        raise locked()
    return values, named


def _grow(value: Any) -> None:
    if isinstance(value, dict):
        value["more"] = ["more"]
    elif isinstance(value, set):
        value.add("more")
    elif isinstance(value, tuple):
        _grow(value[0])
    else:
        value.append("more")


@pytest.mark.parametrize(
    ("given", "grown"),
    [
        ([1], [1, "more"]),
        ({1}, {1, "more"}),
        ({"a": 1}, {"a": 1, "more": ["more"]}),
        (([1], 2), ([1, "more"], 2)),
        (deque([1], 5), deque([1, "more"], 5)),
        (OrderedDict(a=1), OrderedDict(a=1, more=["more"])),
        (defaultdict(list, a=[1]), defaultdict(list, a=[1], more=["more"])),
    ],
)
def test_each_try_gets_its_own_containers(sqlite_kit: Kit, given: Any, grown: Any) -> None:
    """The change of a failed try is not seen by the next one, nor by the caller."""
    before = repr(given)
    with sqlite_kit.app.app_context():
        assert grow(given) == ((grown,), {})
        assert grow(named=given) == ((), {"named": grown})
    assert repr(given) == before


def test_containers_in_containers_are_copied(sqlite_kit: Kit) -> None:
    """However deep; what is there twice is there twice again."""
    inner: list[Any] = [1]
    with sqlite_kit.app.app_context():
        (first, second), _ = grow([inner, inner], inner)
    assert first[0] is first[1] is second
    assert (second, inner) == ([1, "more"], [1])


def test_all_values_of_a_form_are_copied(sqlite_kit: Kit) -> None:
    """Werkzeug's dicts show one value of several by default."""
    with sqlite_kit.app.app_context():
        (form,), _ = grow(MultiDict([("a", "1"), ("a", "2")]))
    assert form.getlist("a") == ["1", "2"]


def test_an_empty_collection_of_an_instance_is_a_plain_list(sqlite_kit: Kit) -> None:
    """A copy that knew its owner would send changes to it."""
    with sqlite_kit.app.app_context():
        (children,), _ = grow(sqlite_kit.Parent().children)
    assert (type(children), children) == (list, ["more"])


def test_other_objects_are_the_same(sqlite_kit: Kit) -> None:
    """An object of the application is not copied, nor is what it holds."""
    held = Plain()
    with sqlite_kit.app.app_context():
        (values,), _ = grow([held, sqlite_kit.Item, len, current_app])
    assert values[:-1] == [held, sqlite_kit.Item, len, current_app]
    assert values[3] is current_app


@dataclass
class Command:
    """What a service may be handed."""

    items: list[Any] = field(default_factory=list)


def _stored(kit: Kit) -> Any:
    with session_manager() as session:
        session.add(kit.Item(name="a"))
    return kit.session().scalars(select(kit.Item)).one()


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (lambda item: ((item,), {}), "item"),
        (lambda item: (([item],), {}), "item"),
        (lambda item: ((1,), {"other": {"a": {item}}}), "other"),
        (lambda item: ((Command([item]),), {}), "item"),
    ],
)
def test_an_instance_is_refused_before_the_first_try(sqlite_kit: Kit, wrap: Any, name: str) -> None:
    """It belongs to a session that the second try does not have."""
    tries = []

    @transactional(retry=QUICK)
    def work(item: Any, other: Any = None) -> None:
        tries.append(item)

    with sqlite_kit.app.app_context():
        args, kwargs = wrap(_stored(sqlite_kit))
        with pytest.raises(DetachedArgumentError, match=f"the argument '{name}'"):
            work(*args, **kwargs)
    assert tries == []


def test_so_is_what_a_function_brings_along(sqlite_kit: Kit) -> None:
    """A partial's values, and the instance of a bound method."""
    with sqlite_kit.app.app_context():
        item = _stored(sqlite_kit)
        with pytest.raises(DetachedArgumentError, match="a value of the partial"):
            sqlite_kit.safe.run(functools.partial(_stored, item), retry=QUICK)


def test_a_session_is_refused_and_a_scoped_one_is_not(sqlite_kit: Kit) -> None:
    """``db.session`` leads to the session of each try."""
    with sqlite_kit.app.app_context():
        assert sqlite_kit.safe.run(repr, sqlite_kit.session(), retry=QUICK)
        with pytest.raises(DetachedArgumentError, match="a 'Session'"):
            sqlite_kit.safe.run(repr, sqlite_kit.db.session(), retry=QUICK)


def test_inside_a_scope_instances_may_be_handed_over(sqlite_kit: Kit) -> None:
    """There the function runs once, in the session that they belong to."""

    @transactional(retry=QUICK)
    def rename(item: Any) -> None:
        item.name = "b"

    with sqlite_kit.app.app_context():
        with session_manager():
            rename(_stored(sqlite_kit))
    assert sqlite_kit.names() == ["b"]


def test_without_retry_nothing_is_copied_or_refused(sqlite_kit: Kit) -> None:
    """A plain scope leaves arguments alone."""
    given: list[Any] = []
    with sqlite_kit.app.app_context():
        given.append(_stored(sqlite_kit))
        assert sqlite_kit.safe.run(lambda values: values, given) is given
