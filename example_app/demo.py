"""The main job from end to end: import, plan, save, publish, show, and a publish that fails."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from sqlalchemy import func, select

from flask_safesession import session_manager

from . import rendering, services, storage, workflows
from .extensions import db
from .follow import follow
from .journal import journal
from .models import AuditEntry, Schedule
from .planning import Assignment
from .problems import RuleBreachError

ROSTER = Path(__file__).parent / "data" / "corner_cafe.txt"
SECONDS = 30.0


def run(database: str | None) -> None:
    """Do the whole job in the database of the current app, and say what happens.

    *database* is the URL that the user gave; it only goes into the printed command.
    """
    console = Console()
    console.print(f"[bold]Database[/] {escape(_database_name())}")
    name = _import(console)
    schedule_id = _generate(console, name)
    _publish(console, schedule_id)
    rendering.print_grid(console, workflows.read_grid(schedule_id))
    _fail_safely(console, schedule_id)
    console.print(rendering.scope_table(journal().scopes))
    _print_web_page(console, schedule_id, database)


def _database_name() -> str:
    return db.engine.url.render_as_string(hide_password=True)


def _import(console: Console) -> str:
    result = workflows.import_file(ROSTER)
    state = "imported" if result.new else "already there, unchanged"
    console.print(f"[bold]Roster[/] {result.name} from {ROSTER.name}: {state}")
    return result.name


def _generate(console: Console, name: str) -> int:
    done = follow(console, workflows.request_run(name, seconds=SECONDS))
    assert done.schedule_id is not None
    console.print(
        f"[bold]Run[/] {done.run_id}: {done.quality} in {done.seconds:.1f} s, saved as a draft"
    )
    return done.schedule_id


def _publish(console: Console, schedule_id: int) -> None:
    sent = len(journal().notifications)
    number = workflows.publish(schedule_id)
    told = len(journal().notifications) - sent
    console.print(f"[bold]Published[/] schedule {number}; {told} employees told after the COMMIT\n")


def _fail_safely(console: Console, schedule_id: int) -> None:
    """Publish a plan that breaks a rule: archive, insert, audit are all done, and all undone."""
    before, sent = _counts(), len(journal().notifications)
    problem = ""
    try:
        _publish_broken_copy(schedule_id)
    except RuleBreachError as exc:
        problem = f"{exc} {exc.details[0]}"
    after = _counts()
    same = before == after and sent == len(journal().notifications)
    console.print(f"\n[bold]A publish that fails[/]: {escape(problem)}")
    console.print(f"  schedules, published, audit rows before {before}, after {after};", end=" ")
    console.print(
        "[green]nothing of it was stored or sent.[/]\n" if same else "[red]DIFFERENT[/]\n"
    )


def _publish_broken_copy(schedule_id: int) -> None:
    with session_manager(name="publish broken schedule"):
        journal().watch()
        schedule = services.find_schedule(schedule_id)
        copy = services.add_schedule(schedule.roster, storage.assignments_of(schedule))
        _break_day_off(copy)
        services.publish_schedule(copy.id)


def _break_day_off(schedule: Schedule) -> None:
    person = next(p for p in storage.to_instance(schedule.roster).staff if p.days_off)
    shift = schedule.roster.shifts[0].code
    wrong = Assignment(person.code, min(person.days_off), shift)
    services.set_shift(schedule.id, wrong.employee, wrong.day, wrong.shift)


def _counts() -> tuple[int, ...]:
    published = select(func.count()).where(Schedule.published_for.is_not(None))
    with session_manager(read_only=True, name="count rows"):
        journal().watch()
        schedules = db.session.scalar(select(func.count()).select_from(Schedule))
        audits = db.session.scalar(select(func.count()).select_from(AuditEntry))
        return schedules or 0, db.session.scalar(published) or 0, audits or 0


def _print_web_page(console: Console, schedule_id: int, database: str | None) -> None:
    variable = f"FLASK_SQLALCHEMY_DATABASE_URI='{database}' " if database else ""
    console.print("\n[bold]See it in the browser:[/]")
    console.print(f"  {variable}flask --app example_app run", markup=False, soft_wrap=True)
    console.print(f"  http://127.0.0.1:5000/schedules/{schedule_id}", soft_wrap=True)
