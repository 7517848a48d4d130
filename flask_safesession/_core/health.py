"""Whether databases answer, within a time that a health check can wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable

from sqlalchemy import Engine, select
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import greenlet_spawn

from .pool import capacity

__all__ = ["Health"]


class _Probe(threading.Thread):
    """One question to one database; one that hangs ends when its driver gives up, and holds nothing up."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(name=f"health of {engine.url}", daemon=True)
        self._engine = engine
        self.answered = False

    def run(self) -> None:
        try:
            if self._engine.dialect.is_async:
                asyncio.run(greenlet_spawn(self._ask))
            else:
                self._ask()
        except Exception:  # noqa: BLE001 - it is what was asked
            return
        self.answered = True

    def _ask(self) -> None:
        with self._engine.connect() as connection:
            connection.execute(select(1))


class Health:
    """Asks databases whether they are there, each by one thread at most."""

    def __init__(self) -> None:
        self._probes: dict[Engine, _Probe] = {}

    def check(self, engines: Iterable[Engine], timeout: float) -> bool:
        """Whether all *engines* answer within *timeout* seconds."""
        until = time.monotonic() + timeout
        probes = [self._probe(each) for each in engines if _can_be_asked(each)]
        for probe in probes:
            probe.join(max(0.0, until - time.monotonic()))
        return all(probe.answered for probe in probes)

    def _probe(self, engine: Engine) -> _Probe:
        probe = self._probes.get(engine)
        if probe is None or not probe.is_alive():
            probe = self._probes[engine] = _Probe(engine)
            probe.start()
        return probe


def _can_be_asked(engine: Engine) -> bool:
    """Not, where the only connection is at work, or all are: they were had from a database that answered."""
    limit, pool = capacity(engine), engine.pool
    return limit is None or (isinstance(pool, QueuePool) and pool.checkedout() < limit)
