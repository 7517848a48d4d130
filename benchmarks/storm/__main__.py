"""``python -m benchmarks.storm``: run the storms, print the table, exit with 1 when an invariant is broken."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from .plan import DATABASES, Plan, Result
from .storm import run

_COLUMNS: Final = {
    "lost": "lost",
    "partial": "partial",
    "doubled": "doubled",
    "hooks": "hooks w/o commit",
    "connections": "connections out",
    "threads": "threads left",
    "hanging": "hanging",
}
_BY_HAND: Final = 0.1  # of the time: the hand-written form is there for comparison


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    options = _parser().parse_args(arguments)
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    console = Console(width=160 if not sys.stdout.isatty() else None)
    console.print(
        f"seed {seed}; the same again: python -m benchmarks.storm --seed {seed} {_again(options)}"
    )
    began = time.monotonic()
    results = [result for plans in _plans(options, seed) for result in _together(plans)]
    console.print(_table(results))
    for each in results:
        console.print(_faults(each))
    console.print(_summary(results, time.monotonic() - began))
    broken = [each for each in results if each.plan.safe and not each.broken.holds]
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storm", description=__doc__)
    parser.add_argument("--database", action="append", choices=DATABASES, help="all if not given")
    parser.add_argument("--seconds", type=float, default=570, help="for all together (570)")
    parser.add_argument("--seed", type=int, help="of an earlier run")
    parser.add_argument(
        "--without-hand", action="store_true", help="leave the hand-written form out"
    )
    return parser


def _again(options: Any) -> str:
    databases = "".join(f" --database {each}" for each in options.database or [])
    return f"--seconds {options.seconds:g}{databases}{' --without-hand' if options.without_hand else ''}"


def _plans(options: Any, seed: int) -> list[list[Plan]]:
    """The storms that pass at the same time, over one database each: with the extension, then by hand."""
    shares = {True: 1.0} if options.without_hand else {True: 1 - _BY_HAND, False: _BY_HAND}
    return [
        [
            Plan(database, safe=safe, seed=seed, seconds=options.seconds * share)
            for database in options.database or DATABASES
        ]
        for safe, share in shares.items()
    ]


def _together(plans: list[Plan]) -> list[Result]:
    with ThreadPoolExecutor(len(plans)) as pool:
        return list(pool.map(run, plans))


def _table(results: list[Result]) -> Table:
    titles = ("database", "sessions", "units", "acknowledged", "stored", "faults")
    table = Table(*titles, *_COLUMNS.values())
    for each in results:
        table.add_row(
            each.plan.database,
            "Flask-SafeSession" if each.plan.safe else "by hand",
            f"{each.told.begun:,}",
            f"{len(each.told.acknowledged):,}",
            f"{each.stored:,}",
            f"{each.told.faults.total():,}",
            *(str(asdict(each.broken)[name]) for name in _COLUMNS),
        )
    return table


def _faults(result: Result) -> str:
    how = "safe" if result.plan.safe else "by hand"
    told = result.told
    put_in, met, ended = (_listed(each) for each in (told.faults, told.seen, told.ended))
    return f"{result.plan.database}, {how}: put in: {put_in}; met: {met}; ended by: {ended}"


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counter.most_common())


def _summary(results: list[Result], seconds: float) -> str:
    safe = [each for each in results if each.plan.safe]
    acknowledged = sum(len(each.told.acknowledged) for each in safe)
    faults = sum(each.told.faults.total() for each in safe)
    broken = sum(sum(asdict(each.broken).values()) for each in safe)
    return (
        f"With the extension: {acknowledged:,} units acknowledged, {faults:,} faults put in, invariants broken "
        f"{broken} times; {seconds / 60:.1f} minutes for all of it."
    )


if __name__ == "__main__":
    raise SystemExit(main())
