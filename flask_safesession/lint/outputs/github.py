"""A report as workflow commands, which GitHub Actions shows at the lines of a pull request.

See "Workflow commands for GitHub Actions" in its documentation for the commands and what has to be escaped in them.
"""

from __future__ import annotations

from ..catalogue import find_rule
from ..findings import Finding
from ..report import Report

__all__ = ["render"]

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def render(report: Report) -> str:
    """Return one command for each finding."""
    return "".join(_command(report, each) for each in report.shown)


def _command(report: Report, finding: Finding) -> str:
    properties = {
        "file": report.sources.in_repository(finding.path),
        "line": finding.line,
        "endLine": finding.end_line,
        "title": f"{finding.rule} {find_rule(finding.rule).slug}",
    }
    # Where columns are given, GitHub wants both on one line.
    if finding.line == finding.end_line:
        properties |= {"col": finding.column, "endColumn": finding.end_column}
    listed = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{_COMMANDS[finding.level]} {listed}::{_data(_message(report, finding))}\n"


def _message(report: Report, finding: Finding) -> str:
    steps = (
        f"{report.sources.in_repository(each.path)}:{each.line}: {each.text}"
        for each in finding.steps
    )
    instead = (f"Instead: {finding.call}",) if finding.call else ()
    return "\n".join((finding.message, *steps, *instead))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
