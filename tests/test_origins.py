"""Where something began, in words: the request, else the app."""

from __future__ import annotations

import weakref
from typing import NoReturn

from flask import Flask

from flask_safesession._core.ledger import NOWHERE, Origin
from flask_safesession._origins import describe_origin, origin_here


class ContextOfFlask32:
    """An application context of Flask 3.2, which is the request's too where there is one."""

    def __init__(self) -> None:
        self.app = Flask("merged")

    @property
    def request(self) -> NoReturn:
        raise RuntimeError("There is no request in this context.")


def test_a_merged_context_without_a_request() -> None:
    """Flask 3.2 has one context for both, and raises where it has no request."""
    context = ContextOfFlask32()
    reference = weakref.ref(context)
    assert describe_origin(Origin(reference, reference)) == "a context of 'merged'"


def test_code_without_a_context() -> None:
    """A script may use a connection outside of any context."""
    assert (origin_here(), describe_origin(NOWHERE)) == (NOWHERE, None)


def test_a_path_without_a_rule() -> None:
    """A request that no view answers is named by its path."""
    with Flask("lost").test_request_context("/nowhere"):
        assert describe_origin(origin_here()) == "request 'GET /nowhere'"


def test_a_context_that_is_gone() -> None:
    """Nothing keeps a context alive for the sake of its name."""
    context = ContextOfFlask32()
    origin = Origin(weakref.ref(context))
    del context
    assert describe_origin(origin) is None
