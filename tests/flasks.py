"""Where Flask 3.2, which is not released yet, does things in another way than 3.1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask.ctx import AppContext

__all__ = ["raised_at_the_end", "shares_contexts"]

shares_contexts = pytest.mark.skipif(
    hasattr(AppContext, "has_request"), reason="from Flask 3.2 on a request has its own context"
)


@contextmanager
def raised_at_the_end(kind: type[Exception], match: str = "") -> Iterator[None]:
    """Expect an error of a teardown function; Flask 3.2 runs them all, and raises a group in a group."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what it is stands below
        yield
    error: BaseException = caught.value
    while inner := getattr(error, "exceptions", ()):
        (error,) = inner
    assert isinstance(error, kind)
    assert re.search(match, str(error))
