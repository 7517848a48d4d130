"""Run both sides with a progress bar, and print their figures side by side."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from .columns import DEFERRING
from .count import Result, measure
from .driver import Side, handwritten_side, run_groups, safe_side
from .plan import Fault, Group, Plan, make_plan

Opener = Callable[[str], AbstractContextManager[Side]]
TURN = 20
OPENERS: tuple[Opener, ...] = (handwritten_side, safe_side)


def run(units: int, database: str | None) -> None:
    """Compare both sides on *units* units in *database*, or in SQLite files that are deleted.

    Raises:
        click.ClickException: If the URL is unusable, or the side with the extension is not clean.
    """
    console = Console()
    with database_urls(database) as urls:
        backend = make_url(urls[0]).get_backend_name()
        plan = make_plan(units, deferred_constraints=backend in DEFERRING)
        console.print(
            f"{len(plan.faults)} units of work on {backend}, {_faulty(plan)} with a fault"
        )
        results = compare(plan, urls, console)
    print_results(console, plan, results)
    if not results[-1].clean:
        raise click.ClickException("The side with Flask-SafeSession is not clean; see the table.")


@contextmanager
def database_urls(database: str | None) -> Iterator[tuple[str, str]]:
    """Yield the URL of each side: *database* for both, or two files in a temporary folder."""
    if database:
        _check_url(database)
        yield database, database
        return
    with tempfile.TemporaryDirectory(prefix="compare-", ignore_cleanup_errors=True) as folder:
        yield f"sqlite:///{Path(folder, 'one.db')}", f"sqlite:///{Path(folder, 'two.db')}"


def _check_url(database: str) -> None:
    try:
        url = make_url(database)
    except ArgumentError as exc:
        raise click.ClickException(f"{database!r} is no database URL: {exc}") from exc
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise click.ClickException("An SQLite database in memory has one connection; name a file.")


def compare(plan: Plan, urls: Sequence[str], console: Console) -> list[Result]:
    """Run *plan* on both sides and count.

    The sides take turns, so that whatever else the machine does slows both alike.
    """
    with ExitStack() as stack:
        sides = [stack.enter_context(open_(url)) for open_, url in zip(OPENERS, urls, strict=True)]
        progress = stack.enter_context(_progress(console))
        runners = [_runner(side, plan, progress) for side in sides]
        seconds = [0.0 for _ in sides]
        for start in range(0, len(plan.groups), TURN):
            groups = plan.groups[start : start + TURN]
            seconds = [s + run(groups) for s, run in zip(seconds, runners, strict=True)]
        return [measure(side, plan, s) for side, s in zip(sides, seconds, strict=True)]


def _runner(side: Side, plan: Plan, progress: Progress) -> Callable[[Sequence[Group]], float]:
    task = progress.add_task(side.title, total=len(plan.faults))
    return lambda groups: run_groups(side, groups, lambda units: progress.advance(task, units))


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:>17}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), console=console)


def _faulty(plan: Plan) -> int:
    return sum(fault is not Fault.NONE for fault in plan.faults.values())


def print_results(console: Console, plan: Plan, results: Sequence[Result]) -> None:
    """Print the figures, and below them which faults they come from."""
    console.print(_totals(results))
    console.print(_by_fault(plan, results))
    if Fault.FAILING_COMMIT not in plan.faults.values():
        console.print("[dim]'failing COMMIT' is left out: this database defers no constraint.[/]")


def _totals(results: Sequence[Result]) -> Table:
    table = _table("Counted in the database and asked of the pool", results)
    table.add_row("rows that should not be there", *(_good(r.tally.unwanted) for r in results))
    table.add_row("rows lost", *(_good(r.tally.lost) for r in results))
    table.add_row("partial units", *(_good(r.tally.partial) for r in results))
    table.add_row("connections still out", *(_good(r.connections) for r in results))
    table.add_row("wall time", *(f"{r.seconds:.2f} s" for r in results))
    return table


def _by_fault(plan: Plan, results: Sequence[Result]) -> Table:
    table = _table("Units that ended wrong, by what happened in them", results, "units")
    for fault, units in sorted(Counter(plan.faults.values()).items(), key=lambda f: f[0].value):
        wrong = (_good((r.tally.wrong_units or {}).get(fault, 0)) for r in results)
        table.add_row(fault.value, str(units), *wrong)
    return table


def _table(title: str, results: Sequence[Result], *columns: str) -> Table:
    table = Table("", title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in (*columns, *(result.title for result in results)):
        table.add_column(heading, justify="right")
    return table


def _good(value: int) -> str:
    return f"[green]{value}[/]" if value == 0 else f"[red]{value}[/]"
