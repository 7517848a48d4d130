"""Fixtures of the queues."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_safesession.contrib.rq import AppQueue

from ..kit import Kit
from .rq_kit import queue_on


def readable(kit: Kit) -> Kit:
    """*kit*, whose SQLite file can be read while another process writes: a slow disk must not look like a lost row."""
    observer = kit.database.observer
    if kit.database.dialect == "sqlite" and observer is not None:
        with observer.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    return kit


@pytest.fixture
def rq_queue(redis_url: str) -> Iterator[AppQueue]:
    """A queue of RQ."""
    with queue_on(redis_url) as queue:
        yield queue
