"""The context variables behind Flask's proxies: to ask one costs a fifth of asking the proxy."""

from __future__ import annotations

from contextvars import Context, ContextVar
from typing import Any, cast

from flask.globals import app_ctx, request

__all__ = ["app_context", "request_context"]


def _variable(proxy: Any) -> ContextVar[Any]:
    """The variable behind *proxy*, which only an unbound one shows: so also where a context is pushed."""
    return cast("ContextVar[Any]", Context().run(lambda: proxy.__wrapped__))


app_context = _variable(app_ctx)
"""Holds the application context."""
request_context = _variable(request)
"""Holds what has the request; the same variable in Flask 3.2."""
