"""What a project may tell the checker about itself."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """The settings of ``[tool.safesession]`` that change what is found.

    Attributes:
        services: Globs of files whose functions work in somebody else's scope, for example ``app/services/*.py``.
        owners: Qualified names, or globs of them, of functions and decorators that own a transaction.
        wrappers: Names of the project's own functions that commit, for example ``database.commit``.
        sinks: Names of calls that hand their arguments to a job, for example ``jobs.push``.
        slow_calls: Names, or globs of them, of calls that wait on something else than the database.
        exclude: Globs of files that are not read at all.
        tests: Whether tests and migrations are checked too.
    """

    services: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    wrappers: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()
    slow_calls: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    tests: bool = False
