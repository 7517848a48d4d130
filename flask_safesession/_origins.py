"""In which request or application context something began: two weak references, put into words when somebody asks."""

from __future__ import annotations

import weakref
from typing import Any

from flask import Request

from ._core.ledger import Origin
from ._proxies import app_context, request_context

__all__ = ["describe_origin", "origin_here"]


def origin_here() -> Origin:
    """The context and the request of the caller."""
    context, with_request = app_context.get(None), request_context.get(None)
    # In Flask 3.2 both are the same, whether it has a request or not.
    without = with_request is context is not None and not context.has_request
    references = (
        None if context is None else weakref.ref(context),
        None if with_request is None or without else weakref.ref(with_request),
    )
    return tuple.__new__(Origin, references)  # half the price of Origin(…)


def describe_origin(origin: Origin) -> str | None:
    """The request by its rule, which has no values in it; else the app."""
    found = None if origin.request is None else _request_of(origin.request())
    if found is not None:
        return f"request '{found.method} {found.url_rule or found.path}'"
    context = None if origin.context is None else origin.context()
    return None if context is None else f"a context of '{context.app.name}'"


def _request_of(context: Any) -> Request | None:
    try:
        found: Request | None = getattr(context, "request", None)
    except RuntimeError:  # Flask 3.2: a context without a request
        return None
    return found
