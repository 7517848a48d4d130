"""What a project has wired with this package: contexts and transactions that come from outside of a function."""

from __future__ import annotations

import re

__all__ = ["wired"]

# A setting has many homes: a key of a dict, a class attribute, a keyword, an item of ``app.config``.
_SETTING = rb"(?i:%s)[\"'\]]*\s*(?::\s*bool\s*)?[:=,]\s*True\b"
_VIEWS = re.compile(_SETTING % b"transactional_views")
_CELERY = re.compile(_SETTING % b"celery_transactional")
_JOBS = re.compile(rb"\btransactional\s*(?::[^=\n]+)?=\s*True\b")


def wired(data: bytes) -> frozenset[str]:
    """Return what a file wires.

    ``schedulers``: each job of a scheduler has a context of its own. ``jobs``: each job is one transaction. ``views``:
    each view is one.
    """
    found: set[str] = set()
    if b"init_scheduler(" in data:
        found.add("schedulers")
    if b"transactional" not in data and b"TRANSACTIONAL" not in data:
        return frozenset(found)  # the expressions are slow
    if _VIEWS.search(data):
        found.add("views")
    if (b"flask_safesession.contrib" in data and _JOBS.search(data)) or _CELERY.search(data):
        found.add("jobs")
    return frozenset(found)
