"""Run a suite once and read what became of each of its tests."""

from __future__ import annotations

import json
import os
import subprocess
import xml.etree.ElementTree as ET
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .environment import Environment

PLUGIN = Path(__file__).parent / "plugin"
TIME_LIMIT = 3600.0
_WORST_FIRST = ("error", "failed", "skipped", "passed")


@dataclass(frozen=True)
class Run:
    """What one run of a suite said.

    An outcome for each test and the reasons of what did not pass; in a run with the extension also
    how many apps of each kind it was wired into, and its warnings by test.
    """

    outcomes: Mapping[str, str]
    reasons: Mapping[str, str]
    apps: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)

    def count(self, outcome: str) -> int:
        """Return how many tests ended with *outcome*."""
        return sum(1 for found in self.outcomes.values() if found == outcome)


def run_without(environment: Environment, reports: Path) -> Run:
    """Run the suite as it was shipped."""
    return _run(environment, reports / "without", {}, ())


def run_with(environment: Environment, reports: Path, package: Path) -> Run:
    """Run the suite with the extension on the path and wired into each of its apps."""
    file = reports / "notes.json"
    file.unlink(missing_ok=True)
    variables = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join((str(package), str(PLUGIN))),
        "SAFESESSION_COMPAT_NOTES": str(file),
    }
    run = _run(environment, reports / "with", variables, ("-p", "compat_wiring"))
    notes = json.loads(file.read_text()) if file.is_file() else {"apps": {}, "warnings": {}}
    return Run(run.outcomes, run.reasons, notes["apps"], notes["warnings"])


def _run(
    environment: Environment, stem: Path, extra: Mapping[str, str], options: tuple[str, ...]
) -> Run:
    report = stem.with_suffix(".xml")
    report.unlink(missing_ok=True)
    command = [str(environment.python), "-m", "pytest", "-q", "-p", "no:randomly", *options]
    # A run that is cut off leaves no report: all of its tests are missing then, which is a failure.
    with stem.with_suffix(".log").open("w") as log, suppress(subprocess.TimeoutExpired):
        subprocess.run(  # noqa: S603 - the parts are written above
            [*command, "-rA", f"--junitxml={report}"],
            cwd=environment.source,
            env={**_clean_environment(), **extra},
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=TIME_LIMIT,
            check=False,
        )
    return read_report(report) if report.is_file() else Run({}, {})


def _clean_environment() -> dict[str, str]:
    dropped = ("PYTHON", "PYTEST", "COVERAGE", "FLASK_")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def read_report(report: Path) -> Run:
    """Read a JUnit report; a test that is listed twice keeps its worst outcome."""
    outcomes: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by pytest
        name = f"{case.get('classname')}::{case.get('name')}"
        for outcome, reason in _findings(case):
            known = outcomes.get(name, "passed")
            outcomes[name] = min(known, outcome, key=_WORST_FIRST.index)
            reasons[name] = reason or reasons.get(name, "")
    return Run(outcomes, reasons)


def _findings(case: ET.Element) -> Iterator[tuple[str, str]]:
    yield "passed", ""
    for tag, outcome in (("skipped", "skipped"), ("failure", "failed"), ("error", "error")):
        for element in case.findall(tag):
            yield outcome, (element.get("message") or "").strip()
