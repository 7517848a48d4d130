"""``python -m benchmarks.compat``: exit status 1 when a test passes only without the extension."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .environment import Environment, PreparationError, build_package, output_of, prepare
from .report import Comparison, render
from .runs import run_with, run_without
from .suites import SUITES, Suite

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "benchmarks" / "COMPAT.md"
CACHE = PROJECT / ".cache" / "compat"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the chosen suites, print and write the table."""
    options = _parser().parse_args(arguments)
    chosen = [suite for suite in SUITES if not options.only or suite.name in options.only]
    options.cache.mkdir(parents=True, exist_ok=True)
    (options.cache / ".gitignore").write_text("*\n")
    try:
        package = build_package(options.package, options.cache / "package")
        comparisons = [_compare(suite, options.cache, package) for suite in chosen]
    except PreparationError as error:
        print(error, file=sys.stderr)
        return 2
    page = render(comparisons)
    print(page)
    if len(chosen) == len(SUITES):
        options.output.write_text(page)
    problems = [problem for comparison in comparisons for problem in comparison.problems]
    print("\n".join(problems) or "No test fails only with the extension.")
    return 1 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compat", description=__doc__)
    names = [suite.name for suite in SUITES]
    parser.add_argument(
        "--only", action="append", choices=names, help="run this suite (may be repeated)"
    )
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help="where sources and environments are kept"
    )
    parser.add_argument(
        "--package", type=Path, default=PROJECT, help="the project that is installed"
    )
    parser.add_argument(
        "--output", type=Path, default=PAGE, help="the page that a run of all suites writes"
    )
    return parser


def _compare(suite: Suite, cache: Path, package: Path) -> Comparison:
    print(f"{suite.name}: preparing {suite.requirement}", flush=True)
    environment = prepare(suite, cache)
    reports = cache / suite.name
    print(f"{suite.name}: running without the extension", flush=True)
    without = run_without(environment, reports)
    print(f"{suite.name}: running with the extension", flush=True)
    wired = run_with(environment, reports, package)
    return Comparison(suite, _versions(environment), without, wired)


def _versions(environment: Environment) -> str:
    code = (
        "import platform\n"
        "from importlib.metadata import version as v, packages_distributions as p\n"
        "names = 'flask sqlalchemy flask-sqlalchemy flask-sqlalchemy-lite flask-security'\n"
        "here = {name for names in p().values() for name in names}\n"
        "print('python', platform.python_version(), end=', ')\n"
        "print(', '.join(f'{n} {v(n)}' for n in names.split() if n in {h.lower() for h in here}))"
    )
    return output_of(environment.python, "-c", code).strip()


if __name__ == "__main__":
    raise SystemExit(main())
