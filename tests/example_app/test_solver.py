"""The solver proves the best rosters, and keeps all rules; both are re-counted without its code."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from example_app import rules
from example_app.extras import MissingExtraError
from example_app.instances import load_instance, parse_instance
from example_app.planning import Assignment, Solution
from example_app.solver import SolverError, solve

from . import recount
from .conftest import CAFE
from .test_instances import GOOD

CAFE_OPTIMUM = 3


def shifts_of(solution: Solution) -> set[recount.Shift]:
    return {recount.Shift(a.employee, a.day, a.shift) for a in solution.assignments}


def check(path: Path, optimum: int) -> None:
    solution, sections = solve(load_instance(path)), recount.read(path)
    assert (solution.objective, solution.bound, solution.proven) == (optimum, optimum, True)
    assert recount.objective(sections, shifts_of(solution)) == optimum
    assert recount.broken_rules(sections, shifts_of(solution)) == []
    assert len(shifts_of(solution)) == len(solution.assignments)


def test_shipped_roster_is_solved_to_its_optimum() -> None:
    """The corner cafe grants all requests but a weight of 3."""
    check(CAFE, CAFE_OPTIMUM)


def test_published_instance_is_proven_at_the_best_known_objective(instance1: Path) -> None:
    """607 is what the literature has."""
    check(instance1, 607)


def test_rules_agree_with_the_recount() -> None:
    """The planner's own check finds no fault in the solution, and the same cost."""
    instance = load_instance(CAFE)
    plan = rules.plan_of(solve(instance).assignments)
    assert rules.breaches(instance, plan) == []
    assert rules.cost(instance, plan) == CAFE_OPTIMUM


TOY = parse_instance(GOOD, source="toy")
BREACHES = [
    ("A0E", "A: works E on day 0, which is a day off"),
    ("A1L A2L A3L A4L", "A: 4 shifts L, at most 3"),
    ("A1E", "A: 480 minutes, not between 3360 and 4320"),
    ("B1L B2E", "B: E on day 2 after L the day before"),
    ("B1L B2L B3L B4L B5L B6L", "B: 6 shifts in a row from day 1, at most 5"),
    ("B3L", "B: only 1 shifts in a row from day 3, at least 2"),
    ("B0L B1L B3L B4L", "B: only 1 days off in a row from day 2, at least 2"),
    ("B5L B6L B12L B13L", "B: 2 weekends, at most 1"),
]


@pytest.mark.parametrize(("plan", "breach"), BREACHES)
def test_each_rule_is_checked(plan: str, breach: str) -> None:
    """Each kind of breach is found and put into a sentence."""
    shifts = [Assignment(word[0], int(word[1:-1]), word[-1]) for word in plan.split()]
    assert breach in rules.breaches(TOY, rules.plan_of(shifts))


def test_runs_at_the_border_may_be_short() -> None:
    """Before and after the horizon a run may go on."""
    shifts = [Assignment("B", 0, "L"), Assignment("B", 13, "L")]
    found = [text for text in rules.breaches(TOY, rules.plan_of(shifts)) if text.startswith("B")]
    assert found == []


def test_contradicting_rules_are_an_error() -> None:
    """Where no roster keeps the rules, the error says so."""
    with pytest.raises(SolverError, match="No roster for 'hard' can keep all rules"):
        solve(replace(TOY, name="hard", horizon=8))


def test_missing_solver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OR-Tools the planner works, and planning says what to install."""
    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'flask-safesession\[example\]'"):
        solve(TOY)
