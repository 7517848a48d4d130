"""``python -m benchmarks.storm``: run the storms, print the table, exit with 1 when an invariant is broken."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from .storm import DATABASES, Plan, Result, run

_COLUMNS = {
    "lost": "lost",
    "partial": "partial",
    "doubled": "doubled",
    "hooks": "hooks w/o commit",
    "connections": "connections out",
    "threads": "threads left",
    "hanging": "hanging",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    options = _parser().parse_args(arguments)
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    console = Console(width=160 if not sys.stdout.isatty() else None)
    console.print(
        f"seed {seed}; the same again: python -m benchmarks.storm --seed {seed} {_again(options)}"
    )
    results = [run(each) for each in _plans(options, seed)]
    console.print(_table(results))
    for each in results:
        console.print(_faults(each))
    broken = [each for each in results if each.plan.safe and not each.broken.holds]
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storm", description=__doc__)
    parser.add_argument("--database", action="append", choices=DATABASES, help="all if not given")
    parser.add_argument("--seconds", type=float, default=200, help="for each database (200)")
    parser.add_argument("--seed", type=int, help="of an earlier run")
    parser.add_argument(
        "--without-hand", action="store_true", help="leave the hand-written form out"
    )
    return parser


def _again(options: Any) -> str:
    databases = "".join(f" --database {each}" for each in options.database or [])
    return f"--seconds {options.seconds:g}{databases}{' --without-hand' if options.without_hand else ''}"


def _plans(options: Any, seed: int) -> list[Plan]:
    """The hand-written form for comparison only: a quarter of the time."""
    plans = []
    for database in options.database or DATABASES:
        plans.append(Plan(database, safe=True, seed=seed, seconds=options.seconds))
        if not options.without_hand:
            plans.append(Plan(database, safe=False, seed=seed, seconds=options.seconds / 4))
    return plans


def _table(results: list[Result]) -> Table:
    table = Table("database", "sessions", "units", "acknowledged", "faults", *_COLUMNS.values())
    for each in results:
        table.add_row(
            each.plan.database,
            "Flask-SafeSession" if each.plan.safe else "by hand",
            f"{each.told.begun:,}",
            f"{len(each.told.acknowledged):,}",
            f"{each.told.faults.total():,}",
            *(str(asdict(each.broken)[name]) for name in _COLUMNS),
        )
    return table


def _faults(result: Result) -> str:
    how = "safe" if result.plan.safe else "by hand"
    put_in = ", ".join(f"{name} {number}" for name, number in result.told.faults.most_common())
    seen = ", ".join(f"{name} {number}" for name, number in result.told.seen.most_common())
    return f"{result.plan.database}, {how}: put in: {put_in}; met: {seen}"


if __name__ == "__main__":
    raise SystemExit(main())
