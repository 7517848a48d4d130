"""What is measured, in the order of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .cases import (
    advanced,
    connections,
    context,
    flat,
    inner,
    jobs,
    outer,
    owner,
    phases,
    tasks,
    testing,
    views,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.results import Result

QUICK_SHARE = 10


@dataclass(frozen=True)
class Case:
    """A measurement and how many rounds give it a steady median."""

    name: str
    run: Callable[[int], Result]
    rounds: int

    def result(self, *, quick: bool) -> Result:
        """Measure, with a tenth of the rounds when *quick*."""
        return self.run(self.rounds // QUICK_SHARE if quick else self.rounds)


CASES = (
    Case("sqlite", owner.sqlite_memory, 6000),
    Case("postgresql", owner.postgresql_server, 6000),
    Case("async", tasks.one_scope, 3000),
    Case("tasks", tasks.many_scopes, 20),
    Case("joined", inner.joined, 400),
    Case("savepoint", inner.savepoint, 300),
    Case("neighbours", outer.neighbours, 4000),
    Case("context", context.untouched_context, 400),
    Case("checkout", connections.checkout, 400),
    Case("commit", connections.commit, 1500),
    Case("phases", phases.throughput, 1500),
    Case("flat", flat.flat_cost, flat.SCOPES),
    Case("job", jobs.submit_to_result, 400),
    Case("jobs", jobs.many_jobs, jobs.JOBS),
    Case("testing", testing.rolled_back, 1000),
    Case("views", views.async_views, 40),
    Case("advanced", advanced.requests, 40),
    Case("plugin", testing.loading, 30),
)
