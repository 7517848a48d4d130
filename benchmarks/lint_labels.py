"""Measures the checker on labelled places in real code: recall, false alarms, and each miss.

Run as ``python -m benchmarks.lint_labels LABELS CHECKOUTS``. LABELS is a JSON list of places with ``repo``, ``path``,
``line``, ``id`` (the rule) and ``label`` (whether it has to be found); CHECKOUTS is a directory with one checkout for
each repository, named ``owner__name``. Every level counts.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask_safesession.lint.checker import check
from flask_safesession.lint.files import collect
from flask_safesession.lint.options import Options

REQUIRED_RECALL = 0.85
MOST_FALSE_ALARMS = 3


@dataclass(frozen=True, slots=True)
class Place:
    """One labelled place."""

    repo: str
    path: str
    line: int
    rule: str
    wanted: bool
    why: str

    @classmethod
    def read(cls, label: dict[str, Any]) -> Place:
        """Return the place of one entry of the file."""
        return cls(
            label["repo"], label["path"], label["line"], label["id"], label["label"], label["why"]
        )


def found_in(checkout: Path) -> set[tuple[str, int, str]]:
    """Return path, line and rule of everything that the checker finds."""
    files = collect([checkout], root=checkout)
    found = check(files, Options(), root=checkout)
    return {(each.path, each.line, each.rule) for each in found}


def main() -> int:
    """Print the figures; return 1 where they are not good enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("checkouts", type=Path)
    arguments = parser.parse_args()
    places = [Place.read(each) for each in json.loads(arguments.labels.read_text())]
    counts: Counter[tuple[bool, bool]] = Counter()
    for repo in sorted({each.repo for each in places}):
        found = found_in(arguments.checkouts / repo.replace("/", "__"))
        for each in (each for each in places if each.repo == repo):
            hit = (each.path, each.line, each.rule) in found
            counts[each.wanted, hit] += 1
            if hit is not each.wanted:
                kind = "missed" if each.wanted else "false alarm"
                print(f"{kind}: {each.rule} {each.repo} {each.path}:{each.line} ({each.why})")
    wanted = counts[True, True] + counts[True, False]
    recall = counts[True, True] / wanted if wanted else 1.0
    print(f"recall {counts[True, True]} of {wanted} ({recall:.2f})")
    print(f"false alarms {counts[False, True]} of {counts[False, True] + counts[False, False]}")
    return int(recall < REQUIRED_RECALL or counts[False, True] > MOST_FALSE_ALARMS)


if __name__ == "__main__":
    raise SystemExit(main())
