"""The comparison counts rows: with the extension nothing is wrong, without it a lot is."""

from __future__ import annotations

from collections import Counter

import pytest
from flask.testing import FlaskCliRunner
from rich.console import Console

from example_app.compare import report
from example_app.compare.columns import DEFERRING
from example_app.compare.count import Result, Tally, tally
from example_app.compare.plan import (
    ROUTES,
    ROWS,
    ROWS_PER_UNIT,
    Fault,
    Group,
    Plan,
    Route,
    make_plan,
    make_unit,
)
from tests.databases import Database

UNITS = 60


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """Both sides on SQLite files."""
    folder = tmp_path_factory.mktemp("compare")
    urls = [f"sqlite:///{folder / name}" for name in ("one.db", "two.db")]
    return report.compare(make_plan(UNITS), urls, Console(quiet=True))


def test_hand_written_side_goes_wrong(results: list[Result]) -> None:
    """Each kind of damage shows in the rows, and a connection is out."""
    found = results[0].tally
    assert min(found.unwanted, found.lost, found.partial) > 0
    spoiled = {fault for fault, units in (found.wrong_units or {}).items() if units}
    assert spoiled == set(Fault) - {Fault.NONE, Fault.LEAKING_THREAD}
    assert results[0].connections > 0
    assert not results[0].clean


BEHIND = [
    (Fault.FORGOTTEN_CONTEXT, 5, "the thread has no app context"),
    (Fault.OUTLIVING_JOB, 5, "the end of the request rolls back what the job has flushed"),
    (Fault.HANDED_OBJECT, 4, "the object is detached; its head was stored before"),
    (Fault.EARLY_MESSAGE, 4, "the worker does not find the head; it is stored afterwards"),
]


@pytest.mark.parametrize(("fault", "lost", "reason"), BEHIND)
def test_each_fault_of_background_work(
    database: Database, fault: Fault, lost: int, reason: str
) -> None:
    """By hand all units with it are wrong, each by as many rows; with the extension none is."""
    faults = dict.fromkeys(range(3), fault)
    groups = tuple(Group(ROUTES[fault], (make_unit(number, fault),)) for number in faults)
    urls = [database.url, database.url]
    one, two = report.compare(Plan(groups, faults), urls, Console(quiet=True))
    assert one.tally == Tally(0, 3 * lost, 3 if lost < ROWS_PER_UNIT else 0, {fault: 3}), reason
    assert two.tally == Tally(0, 0, 0, {fault: 0})
    assert (one.connections, two.connections) == (0, 0)


def test_safe_side_is_clean(results: list[Result]) -> None:
    """No row too many, none missing, no connection out."""
    found = results[1].tally
    assert (found.unwanted, found.lost, found.partial, results[1].connections) == (0, 0, 0, 0)
    assert set((found.wrong_units or {}).values()) == {0}
    assert results[1].clean


def test_plan_is_the_same_each_time_and_has_every_fault() -> None:
    """As many units as were asked for, each fault among them, in an order that the seed fixes."""
    plan = make_plan(2000)
    assert plan == make_plan(2000)
    assert plan != make_plan(2000, seed=1)
    assert (len(plan.faults), set(plan.faults.values())) == (2000, set(Fault))
    numbers = [unit.number for group in plan.groups for unit in group.units]
    assert numbers == list(range(2000))


def test_job_goes_on_after_its_faulty_unit() -> None:
    """The next unit of the same job is in order; that is where the flushed rows would slip in."""
    plan = make_plan(200)
    jobs = [group.units for group in plan.groups if group.route is Route.JOB]
    faults = Counter(tuple(plan.faults[unit.number] for unit in units) for units in jobs)
    assert faults == {(Fault.AFTER_FLUSH, Fault.NONE): 12}


def test_tally_counts_rows_too_many_and_too_few() -> None:
    """One unit is partial, one should not be there, one is missing, one was never asked for."""
    faults = {0: Fault.NONE, 1: Fault.FAILING_INSERT, 2: Fault.NONE, 3: Fault.NONE}
    counts = {(0, "batch"): 1, (0, "line"): 4, (1, "batch"): 1, (9, "trail"): 1}
    counts |= {(3, name): rows for name, rows in ROWS.items()}
    found = tally(Plan((), faults), counts)
    assert (found.unwanted, found.lost, found.partial) == (1 + 1 + 1, 1 + 5, 2)
    assert found.wrong_units == {Fault.NONE: 3, Fault.FAILING_INSERT: 1}


def test_command_prints_both_sides(runner: FlaskCliRunner) -> None:
    """The table has all figures; the exit code says that the safe side is clean."""
    result = runner.invoke(args=["compare", "--units", str(UNITS)])
    assert result.exit_code == 0, result.output
    for figure in ("rows that should not be there", "rows lost", "partial units"):
        assert figure in result.output
    assert "connections still out" in result.output


def test_both_sides_share_a_database(database: Database) -> None:
    """On each database the tables of the sides are separate, and the safe side is clean."""
    plan = make_plan(30, deferred_constraints=database.dialect in DEFERRING)
    one, two = report.compare(plan, [database.url, database.url], Console(quiet=True))
    assert (one.clean, two.clean) == (False, True), (one, two)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "nonsense"])
def test_unusable_url_is_explained(runner: FlaskCliRunner, url: str) -> None:
    """One line, no traceback."""
    result = runner.invoke(args=["compare", "--units", "1", "--database", url])
    assert (result.exit_code, result.output.startswith("Error: ")) == (1, True), result.output
