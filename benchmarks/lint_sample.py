"""Prints a random sample of the checker's findings with the code around them, to be judged by hand.

Run as ``python -m benchmarks.lint_sample --seed 7 --count 40 FOLDER…``, each FOLDER the source of one package.
Notes are left out. What was judged so far stands in docs/explanation/checker-precision.rst.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path

from flask_safesession.lint.checker import check
from flask_safesession.lint.files import collect
from flask_safesession.lint.findings import Finding
from flask_safesession.lint.options import Options

AROUND = 6


def findings_of(folder: Path) -> list[Finding]:
    """Return the errors and warnings in *folder*."""
    found = check(collect([folder], root=folder), Options(), root=folder)
    return [each for each in found if each.level != "note"]


def show(folder: Path, found: Finding) -> None:
    """Print one finding, its path in words and its code."""
    print(f"\n{folder.name}/{found.path}:{found.line} {found.rule} {found.level}: {found.message}")
    for step in found.steps:
        print(f"    {step.path}:{step.line}: {step.text}")
    lines = (folder / found.path).read_text(encoding="utf-8", errors="replace").splitlines()
    first = max(found.line - AROUND, 1)
    for number, line in enumerate(lines[first - 1 : found.line + AROUND], first):
        print(f"{'>' if number == found.line else ' '} {number:5} {line[:110]}")


def main() -> None:
    """Print the sample and how many findings it was drawn from."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("folders", type=Path, nargs="+")
    arguments = parser.parse_args()
    pool = [(folder, each) for folder in arguments.folders for each in findings_of(folder)]
    chosen = random.Random(arguments.seed).sample(pool, min(arguments.count, len(pool)))
    for folder, found in sorted(chosen, key=lambda each: (each[1].rule, each[1].path)):
        show(folder, found)
    print(f"\nseed {arguments.seed}: {len(chosen)} of {len(pool)} findings")
    print(Counter((each.rule, each.level) for _, each in pool))


if __name__ == "__main__":
    main()
