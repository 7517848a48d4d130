"""A report as a JSON list with one object for each finding."""

from __future__ import annotations

import json
from dataclasses import asdict

from ..findings import Finding
from ..report import Report, Sources

__all__ = ["render"]


def render(report: Report) -> str:
    """Return the list; its paths are relative to the working directory, as in the text."""
    entries = [_entry(each, report.sources) for each in report.shown]
    return json.dumps(entries, indent=2) + "\n"


def _entry(finding: Finding, sources: Sources) -> dict[str, object]:
    entry = asdict(finding)
    for place in (entry, *entry["steps"]):
        place["path"] = sources.shown(place["path"])
    return entry
