"""Compare the two runs of a suite and write the table."""

from __future__ import annotations

import datetime as dt
import platform
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .runs import Run
    from .suites import Suite

ALREADY_WIRED = "app was wired before"


@dataclass(frozen=True)
class Comparison:
    """One suite, run without and with the extension."""

    suite: Suite
    versions: str
    without: Run
    wired: Run

    @property
    def new_failures(self) -> list[str]:
        """Tests that passed without the extension and do not pass with it."""
        passed = (name for name, outcome in self.without.outcomes.items() if outcome == "passed")
        return sorted(name for name in passed if self.wired.outcomes.get(name) != "passed")

    @property
    def repaired(self) -> list[str]:
        """Tests that pass with the extension only."""
        return [n for n in self.broken_before if self.wired.outcomes.get(n) == "passed"]

    @property
    def broken_before(self) -> list[str]:
        """Tests that fail without the extension."""
        found = self.without.outcomes.items()
        return sorted(name for name, outcome in found if outcome in ("failed", "error"))

    @property
    def skipped_before(self) -> list[str]:
        """Tests that the suite skips without the extension."""
        found = self.without.outcomes.items()
        return sorted(name for name, outcome in found if outcome == "skipped")

    @property
    def apps(self) -> int:
        """How many apps got the extension."""
        return sum(count for kind, count in self.wired.apps.items() if kind != ALREADY_WIRED)

    @property
    def problems(self) -> list[str]:
        """What makes this comparison a failure; empty when there is nothing."""
        found = []
        if not self.without.count("passed"):
            found.append(f"{self.suite.name}: no test passed without the extension; see its log.")
        if not self.apps:
            found.append(f"{self.suite.name}: no app was wired; see its log.")
        if self.new_failures:
            count = len(self.new_failures)
            found.append(f"{self.suite.name}: {count} tests fail only with the extension.")
        return found


def render(comparisons: Sequence[Comparison]) -> str:
    """Return the page that is kept in the repository."""
    return "\n".join(_lines(comparisons)) + "\n"


def _lines(comparisons: Sequence[Comparison]) -> Iterator[str]:
    yield "# Other projects' own tests, without and with Flask-SafeSession"
    yield ""
    yield "Written by `make compat`. Each suite is the one in the project's source distribution; in"
    yield "the second run every app that it makes gets `SafeSession().init_app(app, db)` right"
    yield "after its `db.init_app(app)`. A new failure is a test that passes without only."
    yield "The suites turn warnings into errors; the extension's own stay warnings and are counted."
    yield ""
    today = f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}"
    yield f"{today}, {platform.platform()}"
    yield ""
    yield "| suite | run | passed | failed | errors | skipped | apps wired | warnings | new failures |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for comparison in comparisons:
        name = f"{comparison.suite.name} ({comparison.versions})"
        yield _row(name, "without", comparison.without, "", "", "")
        numbers = (comparison.apps, len(comparison.wired.warnings), len(comparison.new_failures))
        yield _row("", "with", comparison.wired, *map(str, numbers))
    for comparison in comparisons:
        yield from _details(comparison)


def _row(name: str, run: str, result: Run, *numbers: str) -> str:
    counts = [str(result.count(outcome)) for outcome in ("passed", "failed", "error", "skipped")]
    return "| " + " | ".join((name, run, *counts, *numbers)) + " |"


def _details(comparison: Comparison) -> Iterator[str]:
    yield ""
    yield f"## {comparison.suite.name}"
    yield ""
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(comparison.wired.apps.items()))
    yield f"Wired: {kinds or 'nothing'}."
    new, repaired = comparison.new_failures, comparison.repaired
    yield from _listed("New failures", new, comparison.wired)
    yield from _warnings(comparison.wired.warnings)
    yield from _listed("Pass only with the extension", repaired, comparison.without)
    broken, skipped = comparison.broken_before, comparison.skipped_before
    yield from _grouped("Fail without the extension too, by reason", broken, comparison.without)
    yield from _grouped("Skipped by the suite itself, by reason", skipped, comparison.without)


def _listed(title: str, names: Sequence[str], run: Run) -> Iterator[str]:
    yield from _heading(title, names)
    for name in names:
        outcome = run.outcomes.get(name, "missing")
        yield f"- `{name}` ({outcome}): {_short(run.reasons.get(name, ''))}"


def _warnings(warnings: Mapping[str, str]) -> Iterator[str]:
    yield from _heading("Warnings of the extension", sorted(warnings))
    for name, text in sorted(warnings.items()):
        yield f"- `{name}`: {_short(text)}"


def _grouped(title: str, names: Sequence[str], run: Run) -> Iterator[str]:
    yield from _heading(title, names)
    reasons = Counter(_kind(run.reasons.get(name, "")) for name in names)
    for reason, count in reasons.most_common():
        yield f"- {count} x {reason}"


def _heading(title: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield from ("", f"{title}:", "")


def _short(reason: str) -> str:
    return (reason or "no reason given").splitlines()[0].replace("|", "\\|")[:200]


def _kind(reason: str) -> str:
    """Return *reason* without what differs from test to test."""
    text = _short(reason).removeprefix('failed on setup with "')
    return re.sub(r"<class '[^']*'>", "<class>", text)[:100]
