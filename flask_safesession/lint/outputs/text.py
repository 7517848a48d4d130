"""A report as lines for a terminal: ``path:line:column: rule level: message``, and the path to it below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ..catalogue import find_rule
from ..findings import LEVELS, Finding, one_line
from ..report import Report

__all__ = ["render", "statistics", "summary"]


def render(report: Report) -> str:
    """Return the findings, each with its steps and the call to make instead, and a summary."""
    blocks = ["\n".join(_lines(report, each)) for each in report.shown]
    return "\n".join((*blocks, summary(report))) + "\n"


def _lines(report: Report, finding: Finding) -> Iterator[str]:
    place = f"{one_line(report.sources.shown(finding.path))}:{finding.line}:{finding.column}"
    yield f"{place}: {finding.rule} {finding.level}: {_line(finding.message)}"
    for step in finding.steps:
        yield f"    {one_line(report.sources.shown(step.path))}:{step.line}: {_line(step.text)}"
    if finding.call:
        yield f"    Instead: {_line(finding.call)}"


def _line(text: str) -> str:
    """One line, whatever the checked code put into a name."""
    return " ".join(text.split())


def summary(report: Report) -> str:
    """Return one line that says how many findings there are, and how many are not shown."""
    parts = [_found(report)]
    if report.hidden:
        parts.append(
            f"{_count(report.hidden, 'finding')} below the level ('--level note' shows all)"
        )
    if accepted := report.accepted("inSource"):
        parts.append(f"{accepted} silenced by comments")
    if accepted := report.accepted("external"):
        parts.append(f"{accepted} accepted by the baseline")
    return "; ".join(parts) + "."


def _found(report: Report) -> str:
    files = "1 file" if report.files == 1 else f"{report.files} files"
    if not report.shown:
        return f"No findings in {files}"
    levels = Counter(each.level for each in report.shown)
    counted = ", ".join(_plural(levels[level], level) for level in LEVELS if levels[level])
    places = len({each.path for each in report.shown})
    return f"{_count(report.shown, 'finding')} ({counted}) in {places} of {files}"


def statistics(report: Report) -> str:
    """Return one line for each rule that found something: how often, its id, its name."""
    counts = Counter(each.rule for each in report.shown).most_common()
    width = len(str(max((count for _, count in counts), default=0)))
    lines = (f"{count:>{width}}  {rule}  {find_rule(rule).slug}\n" for rule, count in counts)
    return "".join(lines)


def _count(things: Iterable[object], noun: str) -> str:
    return _plural(len(list(things)), noun)


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
