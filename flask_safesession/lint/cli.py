"""The command line: ``python -m flask_safesession.lint`` and ``flask safesession`` are made of the same commands."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from .catalogue import find_rule, split_ids
from .commands import DefaultGroup, OneLineCommand, printable
from .configuration import Configuration, load
from .explain import explain as explained
from .findings import LEVELS, Level
from .fixing import fix
from .outputs import FORMATS, html, text
from .progress import Progress
from .refusals import CannotRunError
from .report import Report
from .run import Request, run
from .storage import write_atomically

__all__ = ["check", "fix", "main"]

_FOUND = 1


@dataclass(frozen=True)
class Given:
    """What the command line says about a check; what it leaves open is None or empty."""

    select: tuple[str, ...]
    ignore: tuple[str, ...]
    level: Level | None
    tests: bool | None
    format: str
    output: Path | None
    html: Path | None
    statistics: bool
    baseline: Path | None
    jobs: int
    no_cache: bool
    exit_zero: bool

    def over(self, configuration: Configuration) -> Configuration:
        """Return *configuration* with what is given in its place."""
        selection, options = configuration.selection, configuration.options
        return replace(
            configuration,
            options=options if self.tests is None else replace(options, tests=self.tests),
            selection=replace(
                selection,
                select=split_ids(self.select, "--select") or selection.select,
                ignore=split_ids(self.ignore, "--ignore") or selection.ignore,
                level=self.level or selection.level,
            ),
        )


_PATH = click.Path(exists=True, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=OneLineCommand)
@click.argument("paths", nargs=-1, type=_PATH)
@click.option("--select", multiple=True, metavar="RULES", help="Check these only: TXN301, or TXN3.")
@click.option("--ignore", multiple=True, metavar="RULES", help="Leave these out.")
@click.option("--level", type=click.Choice(LEVELS), help="Show down to this level.  [warning]")
@click.option("--tests/--no-tests", default=None, help="Check tests and migrations too.")
@click.option("--format", type=click.Choice([*FORMATS]), default="text", help="How to say it.")
@click.option("--output", type=_FILE, metavar="FILE", help="Write it there, not to stdout.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a page for people as well.")
@click.option("--statistics", is_flag=True, help="Count the findings of each rule.")
@click.option("--baseline", type=_FILE, metavar="FILE", help="Accept what it lists; made if new.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes.  [all cores]")
@click.option("--no-cache", is_flag=True, help="Read everything anew, and keep nothing.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if there are findings.")
@click.option("--explain", metavar="RULE", help="Print the page of a rule, and check nothing.")
@click.pass_context
def check(
    ctx: click.Context,
    /,
    paths: tuple[Path, ...],
    explain: str | None,
    jobs: int | None,
    **given: Any,
) -> None:
    """Find session and transaction bugs in the Python code below PATHS, by default below this directory.

    Nothing of that code is imported or run. The exit code is 0 if nothing was found, 1 if something was, and 2 if the
    check could not run. The settings are in [tool.safesession] of the nearest pyproject.toml.
    """
    if explain is not None:
        click.echo(explained(find_rule(explain)), nl=False)
        return
    wishes = Given(jobs=jobs or os.cpu_count() or 1, **given)
    is_new_baseline = wishes.baseline is not None and not wishes.baseline.exists()
    report = _run(paths or (Path(),), wishes)
    if is_new_baseline:
        # A path with a typing error would accept everything, and nobody would know.
        click.echo(_new_baseline(report, wishes), err=True)
    _give_out(report, wishes)
    if report.shown and not wishes.exit_zero:
        ctx.exit(_FOUND)


def _new_baseline(report: Report, wishes: Given) -> str:
    return (
        f"'{wishes.baseline}' is new: it accepts all that is there ({report.accepted('external')})."
    )


def _run(paths: tuple[Path, ...], wishes: Given) -> Report:
    request = Request(
        paths=paths,
        configuration=wishes.over(load(paths[0])),
        jobs=wishes.jobs,
        use_cache=not wishes.no_cache,
        baseline=wishes.baseline,
    )
    with closing(Progress(sys.stderr)) as progress:
        return run(request, progress)


def _give_out(report: Report, wishes: Given) -> None:
    if wishes.html is not None:
        _write(wishes.html, html.render(report))
    rendered = FORMATS[wishes.format](report)
    if wishes.output is not None:
        _write(wishes.output, rendered)
        click.echo(text.summary(report), err=True)
    else:
        click.echo(printable(rendered), nl=False)
    if wishes.statistics:
        # Beside a format that a program reads, people read stderr.
        click.echo(text.statistics(report), nl=False, err=wishes.format != "text")


def _write(file: Path, rendered: str) -> None:
    try:
        write_atomically(file, rendered.encode("utf-8", "backslashreplace"))
    except OSError as error:
        reason = error.strerror or error
        raise CannotRunError(f"'{file}' could not be written: {reason}") from error


main = DefaultGroup("safesession", commands=[check, fix])
