"""What must not be put into a message."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import current_app

from flask_safesession import transactional
from flask_safesession.contrib._arguments import refuse_bound_arguments, refuse_wrong_arguments
from flask_safesession.errors import DetachedArgumentError

from ..kit import Kit


@dataclasses.dataclass
class Order:
    """What somebody ordered."""

    what: Any


class Parcel:
    """An object of the program's own."""

    def __init__(self, what: Any) -> None:
        self.what = what


BOUND: dict[str, tuple[Callable[[Kit], Any], str]] = {
    "instance": (lambda kit: kit.Item(name="tea"), "an instance of 'Item'"),
    "in containers": (lambda kit: [({"key": kit.Item(name="tea")},)], "an instance of 'Item'"),
    "as a key": (lambda kit: {kit.Item(name="tea"): 1}, "an instance of 'Item'"),
    "in a dataclass": (lambda kit: Order(kit.Item(name="tea")), "an instance of 'Item'"),
    "in an object": (lambda kit: Parcel({kit.Item(name="tea")}), "an instance of 'Item'"),
    "session": (lambda kit: kit.db.session(), "a '.*Session'"),
    "scoped session": (lambda kit: kit.db.session, "a 'scoped_session'"),
    "query": (lambda kit: kit.db.session.query(kit.Item), "a 'Query'"),
    "proxy": (lambda _: [current_app], "a proxy of Flask"),
}


@pytest.mark.parametrize("case", BOUND)
def test_what_belongs_to_the_sender(case: str, sqlite_kit: Kit) -> None:
    """It is found wherever a serializer would meet it, and the error names the argument."""
    make, text = BOUND[case]
    with sqlite_kit.app.app_context():
        for args, kwargs, name in (
            ((1, make(sqlite_kit)), {}, "2"),
            ((), {"it": make(sqlite_kit)}, "it"),
        ):
            with pytest.raises(
                DetachedArgumentError, match=f"'{name}' of the job is or holds {text}"
            ):
                refuse_bound_arguments("the job", args, kwargs)


def test_what_may_travel(sqlite_kit: Kit) -> None:
    """Values, classes and what only the queue's own serializer can judge."""
    values = (1, "tea", None, Order([1]), sqlite_kit.Item, threading.Lock(), sqlite_kit.engine)
    refuse_bound_arguments("the job", values, {"function": lambda: None})


def test_a_function_under_a_decorator_of_this_package() -> None:
    """Its own parameters count."""

    @transactional
    def store(name: str) -> str:
        return name

    with pytest.raises(TypeError, match="does not take"):
        refuse_wrong_arguments("the job 'store'", store, ("a", "b"), {})
