"""The page that `make bench` writes."""

from __future__ import annotations

import datetime as dt
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .results import Result, Target

PACKAGES = (
    "flask",
    "sqlalchemy",
    "flask-sqlalchemy",
    "psycopg",
    "asyncpg",
    "advanced-alchemy",
    "django",
    "zope.sqlalchemy",
    "flask-safesession",
)


def render(results: Sequence[Result]) -> str:
    """Return the whole page as Markdown."""
    return "\n".join(_lines(results)) + "\n"


def missed(results: Sequence[Result]) -> list[Target]:
    """Return the targets that were not met."""
    return [target for result in results for target in result.targets if not target.met]


def _lines(results: Sequence[Result]) -> Iterator[str]:
    yield "# What a scope costs"
    yield ""
    yield "Written by `make bench`. Every contender of a table runs once in each round of one"
    yield "process, in shuffled order, the garbage collector stopped inside a sample. A ratio"
    yield "is a ratio of medians; beside it stand the quartiles of the ratios within the rounds."
    yield "Times are CPU times of the process, which other processes do not disturb, except where a"
    yield "server is waited for: on PostgreSQL they are wall-clock times."
    yield ""
    yield f"- {dt.datetime.now(dt.timezone.utc):%Y-%m-%d %H:%M} UTC"
    yield f"- {_processor()}, {os.cpu_count()} CPUs, {platform.platform()}"
    yield f"- Python {platform.python_version()}; {', '.join(map(_version, PACKAGES))}"
    yield ""
    yield "## Targets"
    yield ""
    verdicts = [target for result in results for target in result.targets]
    yield from _table(("target", "found", "verdict"), [_verdict(target) for target in verdicts])
    for result in results:
        yield ""
        yield f"## {result.title}"
        yield ""
        yield result.explanation
        yield ""
        yield from _table(result.columns, [row.cells for row in result.rows])


def _verdict(target: Target) -> tuple[str, str, str]:
    return target.promise, target.found, "pass" if target.met else "**missed**"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|---|" + "---:|" * (len(columns) - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} (not installed)"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
