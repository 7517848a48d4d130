"""The planner's commands: ``flask --app example_app ...``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import ScriptInfo
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from flask_safesession import session_manager

from . import jobs, publishing, services, workflows
from .database import ensure_tables
from .extensions import db
from .extras import MissingExtraError, require_extra
from .instances import InstanceError
from .models import Roster, Schedule
from .problems import ConflictError, NotFoundError, PlannerError
from .solver import SolverError

KNOWN_PROBLEMS = (InstanceError, MissingExtraError, PlannerError, SolverError, SQLAlchemyError)

database_option = click.option(
    "--database", metavar="URL", help="Database URL instead of the app's own."
)
roster_option = click.option("--roster", help="Name of the roster; needed where there are several.")
seconds_option = click.option(
    "--seconds", default=30.0, show_default=True, help="Time limit of the solver."
)


def init_app(app: Flask) -> None:
    """Add the commands to *app*."""
    for command in (demo, import_, generate, publish, show, scheduler, compare):
        app.cli.add_command(command)


@contextmanager
def planner(database: str | None) -> Iterator[Flask]:
    """Push a context of the app, or of a second one on the database at the URL *database*."""
    app = click.get_current_context().ensure_object(ScriptInfo).load_app()
    if database:
        app = _app_on(database)
    with app.app_context():
        ensure_tables()
        try:
            yield app
        finally:
            if database:
                jobs.executor().shutdown()
                db.engine.dispose()


def _app_on(database: str) -> Flask:
    from . import create_app

    # Celery's workers have a database of their own; a job on this one has to run here.
    return create_app({"SQLALCHEMY_DATABASE_URI": database, jobs.BROKER: None})


def plain_errors(function: Callable[..., None]) -> Callable[..., None]:
    """Show what users can mend as one line instead of a traceback."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except KNOWN_PROBLEMS as exc:
            details = "".join(f"\n  {line}" for line in getattr(exc, "details", ()))
            raise click.ClickException(f"{exc}{details}") from exc

    return wrapper


@click.command()
@database_option
@plain_errors
def demo(database: str | None) -> None:
    """Import, plan, save and publish the shipped roster."""
    with planner(database):
        require_extra(f"{__package__}.demo").run(database)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the roster; default: that of the file.")
@database_option
@plain_errors
def import_(file: Path, name: str | None, database: str | None) -> None:
    """Import a roster FILE, whole or not at all."""
    with planner(database):
        result = workflows.import_file(file, name)
    state = "Imported" if result.new else "Already there, unchanged:"
    click.echo(f"{state} {result.name}")


@click.command()
@roster_option
@seconds_option
@database_option
@plain_errors
def generate(roster: str | None, seconds: float, database: str | None) -> None:
    """Plan a roster and save the schedule as a draft; Ctrl-C cancels it."""
    follow = require_extra(f"{__package__}.follow")
    with planner(database):
        run_id = workflows.request_run(_roster_name(roster), seconds=seconds)
        done = follow.follow(follow.Console(), run_id)
    click.echo(f"Schedule {done.schedule_id}: {done.quality} in {done.seconds:.1f} s")


@click.command()
@click.argument("schedule_id", type=int, required=False)
@roster_option
@database_option
@plain_errors
def publish(schedule_id: int | None, roster: str | None, database: str | None) -> None:
    """Put a draft in force: SCHEDULE_ID, or the roster's latest schedule."""
    with planner(database):
        chosen = schedule_id or _latest(_roster_name(roster))
        workflows.publish(chosen)
    click.echo(f"Schedule {chosen} is published.")


@click.command()
@click.argument("schedule_id", type=int, required=False)
@roster_option
@database_option
@plain_errors
def show(schedule_id: int | None, roster: str | None, database: str | None) -> None:
    """Print a schedule: SCHEDULE_ID, or the roster's latest one."""
    rendering = require_extra(f"{__package__}.rendering")
    with planner(database):
        grid = workflows.read_grid(schedule_id or _latest(_roster_name(roster)))
    rendering.print_grid(rendering.Console(), grid)


@click.command()
@click.option("--once", is_flag=True, help="Publish now, and end.")
@click.option(
    "--hour", default=3, show_default=True, type=click.IntRange(0, 23), help="When, each night."
)
@click.option("--every", type=click.FloatRange(min=0.1), help="So many seconds, to see it happen.")
@database_option
@plain_errors
def scheduler(once: bool, hour: int, every: float | None, database: str | None) -> None:
    """Publish each roster's newest draft that keeps the rules, every night."""
    with planner(database) as app:
        if once:
            for outcome in publishing.publish_newest_drafts():
                click.echo(str(outcome))
        else:
            clock = require_extra(f"{__package__}.scheduler", extra="apscheduler")
            clock.run(app, hour=hour, every=every)


@click.command()
@click.option("--units", default=2000, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--database", metavar="URL", help="Database to run in; default: SQLite files that are deleted."
)
@plain_errors
def compare(units: int, database: str | None) -> None:
    """Run the same work with hand-written sessions and with Flask-SafeSession; count the rows."""
    require_extra(f"{__package__}.compare.report").run(units, database)


def _roster_name(name: str | None) -> str:
    with session_manager(read_only=True, name="choose roster"):
        names = [name] if name else list(db.session.scalars(select(Roster.name)))
    if not names:
        raise NotFoundError("There is no roster yet. Import one with 'import FILE' or run 'demo'.")
    if len(names) > 1:
        raise ConflictError(
            f"There are several rosters; choose one with --roster: {', '.join(names)}"
        )
    return names[0]


def _latest(name: str) -> int:
    latest = select(Schedule.id).order_by(Schedule.number.desc()).limit(1)
    with session_manager(read_only=True, name="choose schedule"):
        roster = services.find_roster(name)
        found = db.session.scalar(latest.where(Schedule.roster_id == roster.id))
    if found is None:
        raise NotFoundError(f"{name!r} has no schedule yet. Plan one with 'generate'.")
    return found
