"""``flask safesession prepared``: what a crash has left between the two phases of a commit."""

from __future__ import annotations

from collections.abc import Mapping
from time import time

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ._core.recovery import Decision, Leftover, find_prepared, finish
from ._state import STATE

__all__ = ["prepared"]

_OLD = 300  # seconds, longer than any process takes from the first PREPARE to the last COMMIT

_REASONS: Mapping[Decision, str] = {
    "commit": "to be committed, as its first part has been",
    "rollback": "to be rolled back, as its first part waits: no other is committed before it",
    "unknown": "not to be decided here, as the database of its first part is none of this app",
}
_DONE: Mapping[Decision, str] = {"commit": "committed", "rollback": "rolled back"}


@click.command("prepared")
@click.option("--finish", "do_finish", is_flag=True, help="Do what the list says.")
@click.option("--commit", metavar="ID", help="Commit this transaction, whatever the list says.")
@click.option(
    "--rollback", metavar="ID", help="Roll this transaction back, whatever the list says."
)
@click.option(
    "--older-than",
    type=click.IntRange(min=0),
    default=_OLD,
    show_default=True,
    metavar="SECONDS",
    help="Leave younger ones alone: their process may be about to end them.",
)
@with_appcontext
def prepared(do_finish: bool, commit: str | None, rollback: str | None, older_than: int) -> None:
    """List, and end, the prepared transactions that a crash has left (SAFESESSION_TWOPHASE).

    Only those that this extension has prepared are shown. The exit status is 1 while any is left.
    """
    state = current_app.extensions.get(STATE)
    if state is None:
        raise click.ClickException(f"The app '{current_app.name}' has no SafeSession.")
    engines = state.source.engines()
    left = False
    for each in find_prepared(engines, time()):
        click.echo(_described(each))
        decision = _chosen(each, commit, rollback)
        if do_finish and decision is None and each.seconds >= older_than:
            decision = each.decision
        ended = decision not in (None, "unknown") and _finish(each, engines, decision)
        left = left or not ended
    if left:
        raise click.exceptions.Exit(1)


def _described(leftover: Leftover) -> str:
    names = ", ".join(name for _, name in leftover.parts)
    return (
        f"{leftover.transaction}  {leftover.seconds} s old, prepared on {names}: "
        f"{_REASONS[leftover.decision]}"
    )


def _chosen(leftover: Leftover, commit: str | None, rollback: str | None) -> Decision | None:
    if leftover.transaction == commit:
        return "commit"
    return "rollback" if leftover.transaction == rollback else None


def _finish(leftover: Leftover, engines: Mapping[str, Engine], decision: Decision) -> bool:
    try:
        finish(leftover, engines, decision)
    except SQLAlchemyError as error:
        click.echo(f"  {decision} failed: {error}", err=True)
        return False
    click.echo(f"  {_DONE[decision]}")
    return True
