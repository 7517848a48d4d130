"""``python -m benchmarks``: measure, write the table, exit with 1 when a target is missed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .catalogue import CASES, Case
from .databases import NoServerError
from .report import missed, render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .results import Result

PAGE = Path(__file__).parent / "RESULTS.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chosen cases and return the exit status."""
    options = _parser().parse_args(arguments)
    chosen = [case for case in CASES if not options.only or case.name in options.only]
    try:
        results = [_measured(case, quick=options.quick) for case in chosen]
    except NoServerError as error:
        print(error, file=sys.stderr)
        return 2
    page = render(results)
    print(page)
    if options.output or not (options.quick or options.only):
        (options.output or PAGE).write_text(page)
    return _verdict(results)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [case.name for case in CASES]
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds; keeps no page")
    parser.add_argument("--only", action="append", choices=names, help="this case; keeps no page")
    parser.add_argument("--output", type=Path, help=f"write the page here (default: {PAGE.name})")
    return parser


def _measured(case: Case, *, quick: bool) -> Result:
    print(f"measuring {case.name} ...", file=sys.stderr, flush=True)
    return case.result(quick=quick)


def _verdict(results: Sequence[Result]) -> int:
    failures = missed(results)
    for target in failures:
        print(f"missed: {target.promise} (found {target.found})", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
