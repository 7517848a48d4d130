"""``flask safesession``: the commands of the extension. ``check`` and ``fix`` need no app."""

from __future__ import annotations

import os

import click
from flask import current_app
from flask.cli import with_appcontext

from ._core.statistics import EngineStatistics
from ._doctor import examine
from ._engines import read_statistics
from ._prepared import prepared
from ._state import STATE, AppState
from .lint.cli import check, fix

__all__ = ["safesession"]

_MUST_CHANGE = 1
_SIGNS = {"ok": "ok    ", "advice": "advice", "change": "CHANGE"}


def _workers() -> int:
    """What gunicorn and many hosts take for the number of processes."""
    given = os.environ.get("WEB_CONCURRENCY", "")
    return int(given) if given.isdecimal() and int(given) else 1


@click.command()
@with_appcontext
def pool() -> None:
    """Show the pools of the app, and who holds their connections in this process."""
    for engine in read_statistics(_state()).engines:
        click.echo(_line(engine))
        for holder in engine.holders:
            click.echo(f"  {holder}")


def _line(engine: EngineStatistics) -> str:
    out = "" if engine.out is None else f", {engine.out} out"
    limit = "no limit" if engine.limit is None else f"at most {engine.limit}"
    return f"{engine.name}: {engine.url} ({engine.pool}, {limit}{out})"


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=_workers,
    metavar="N",
    help="Worker processes of the app, on all machines.  [$WEB_CONCURRENCY, or 1]",
)
@click.pass_context
@with_appcontext
def doctor(ctx: click.Context, /, workers: int) -> None:
    """Look at the app's engines and servers, and say what to change.

    The exit code is 1 if something has to be changed.
    """
    findings = list(examine(_state(), workers))
    for finding in findings:
        click.echo(f"{_SIGNS[finding.level]}  {finding.about}: {finding.text}")
    if any(finding.level == "change" for finding in findings):
        ctx.exit(_MUST_CHANGE)


def _state() -> AppState:
    state: AppState | None = current_app.extensions.get(STATE)
    if state is None:
        raise click.ClickException(
            f"The app '{current_app.name}' has no SafeSession. Call 'SafeSession(app)' where it is made."
        )
    return state


safesession = click.Group(
    "safesession",
    commands=[check, fix, pool, doctor, prepared],
    help="Find and mend session and transaction bugs, in code and in a live app.",
)
