"""Find the best roster with OR-Tools CP-SAT.

The rules are those of Curtois and Qu, "Computational results on new staff scheduling benchmark
instances" (2014). At the borders of the horizon they read: before and after it everybody has days
off as far as the longest run of shifts is concerned; a run of shifts or of days off that touches a
border may be as short as it likes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from .extras import require_extra
from .planning import Assignment, Instance, Request, Solution, Staff
from .search import Search

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

    Var = cp_model.IntVar

SEED = 607


class SolverError(RuntimeError):
    """No roster was found; the message says whether there is none or the time was too short."""


class StoppedError(Exception):
    """Somebody stopped the search."""


@dataclass
class _Planner:
    """The variables of one model: ``works[employee, day, shift]`` and ``busy[employee, day]``."""

    instance: Instance
    model: cp_model.CpModel
    works: dict[tuple[str, int, str], Var] = field(default_factory=dict)
    busy: dict[tuple[str, int], Var] = field(default_factory=dict)
    costs: list[Any] = field(default_factory=list)

    @property
    def days(self) -> range:
        return range(self.instance.horizon)


def solve(
    instance: Instance,
    *,
    seconds: float = 30.0,
    workers: int | None = None,
    search: Search | None = None,
) -> Solution:
    """Plan *instance* within *seconds* of wall time on *workers* threads (None: one per processor).

    What is found on the way is written into *search*, which can also stop the solver.

    Raises:
        MissingExtraError: If OR-Tools is not installed.
        SolverError: If the rules contradict each other, or the time ran out without any roster.
        StoppedError: If *search* was stopped.
    """
    cp = require_extra("ortools.sat.python.cp_model")
    planner = _Planner(instance, cp.CpModel())
    _build(planner)
    solver = cp.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = workers or min(8, os.cpu_count() or 1)
    solver.parameters.random_seed = SEED
    solver.parameters.catch_sigint_signal = False  # Ctrl-C is for the program, which asks to stop
    search = search or Search()
    search.end_with(solver.stop_search)
    solver.best_bound_callback = search.found_bound
    status = solver.solve(planner.model, _watcher(cp, search))
    if search.stopped:
        raise StoppedError("The search was stopped.")
    if status not in (cp.OPTIMAL, cp.FEASIBLE):
        raise SolverError(_no_roster(instance, proven=status == cp.INFEASIBLE, seconds=seconds))
    return _solution(planner, solver, proven=status == cp.OPTIMAL)


def _watcher(cp: Any, search: Search) -> Any:
    class Watcher(cp.CpSolverSolutionCallback):  # type: ignore[misc] # known only when it is there
        def on_solution_callback(self) -> None:
            search.objective = round(self.objective_value)
            search.found_bound(self.best_objective_bound)

    return Watcher()


def _no_roster(instance: Instance, *, proven: bool, seconds: float) -> str:
    if proven:
        return (
            f"No roster for {instance.name!r} can keep all rules: the contracts in SECTION_STAFF"
            " and the days off contradict each other. Loosen a limit there."
        )
    return (
        f"No roster for {instance.name!r} was found within {seconds:g} s."
        " Allow more with '--seconds'."
    )


def _solution(planner: _Planner, solver: cp_model.CpSolver, *, proven: bool) -> Solution:
    chosen = (Assignment(*key) for key, var in planner.works.items() if solver.boolean_value(var))
    return Solution(
        assignments=tuple(sorted(chosen)),
        objective=round(solver.objective_value),
        bound=round(solver.best_objective_bound),
        proven=proven,
        seconds=solver.wall_time,
    )


def _build(planner: _Planner) -> None:
    _add_variables(planner)
    for person in planner.instance.staff:
        _add_contract(planner, person)
        _add_runs(planner, person)
        _add_weekends(planner, person)
    _add_followers(planner)
    _add_requests(planner)
    _add_cover(planner)
    planner.model.minimize(sum(planner.costs))


def _add_variables(planner: _Planner) -> None:
    instance, model = planner.instance, planner.model
    for person, day in product(instance.staff, planner.days):
        shifts = [model.new_bool_var(f"{person.code}/{day}/{s.code}") for s in instance.shifts]
        busy = model.new_bool_var(f"{person.code}/{day}")
        model.add(sum(shifts) == busy)
        planner.busy[person.code, day] = busy
        for shift, var in zip(instance.shifts, shifts, strict=True):
            planner.works[person.code, day, shift.code] = var


def _add_contract(planner: _Planner, person: Staff) -> None:
    works, days = planner.works, planner.days
    for code, maximum in person.max_shifts:
        planner.model.add(sum(works[person.code, d, code] for d in days) <= maximum)
    minutes = sum(
        shift.minutes * works[person.code, d, shift.code]
        for shift in planner.instance.shifts
        for d in days
    )
    planner.model.add_linear_constraint(minutes, person.min_minutes, person.max_minutes)
    for day in person.days_off:
        planner.model.add(planner.busy[person.code, day] == 0)


def _add_runs(planner: _Planner, person: Staff) -> None:
    busy = [planner.busy[person.code, d] for d in planner.days]
    width = person.max_consecutive + 1
    for start in range(len(busy) - width + 1):
        planner.model.add(sum(busy[start : start + width]) < width)
    for clause in _short_runs(busy, person.min_consecutive):
        planner.model.add_bool_or(clause)
    for clause in _short_runs([b.negated() for b in busy], person.min_days_off):
        planner.model.add_bool_or(clause)


def _short_runs(on: list[Any], least: int) -> Iterator[list[Any]]:
    """Forbid each run of *on* days that is shorter than *least* and lies between two other days."""
    for length in range(1, least):
        for start in range(1, len(on) - length):
            inside = [day.negated() for day in on[start : start + length]]
            yield [on[start - 1], *inside, on[start + length]]


def _add_weekends(planner: _Planner, person: Staff) -> None:
    worked = []
    for number, days in enumerate(planner.instance.weekends):
        weekend = planner.model.new_bool_var(f"{person.code}/weekend {number}")
        planner.model.add_max_equality(weekend, [planner.busy[person.code, d] for d in days])
        worked.append(weekend)
    planner.model.add(sum(worked) <= person.max_weekends)


def _add_followers(planner: _Planner) -> None:
    works = planner.works
    pairs = [
        (s.code, other) for s in planner.instance.shifts for other in sorted(s.not_followed_by)
    ]
    people = [person.code for person in planner.instance.staff]
    for who, day, (code, other) in product(people, planner.days[:-1], pairs):
        planner.model.add_at_most_one(works[who, day, code], works[who, day + 1, other])


def _add_requests(planner: _Planner) -> None:
    def wanted(request: Request) -> Var:
        return planner.works[request.employee, request.day, request.shift]

    planner.costs += [r.weight * (1 - wanted(r)) for r in planner.instance.on_requests]
    planner.costs += [r.weight * wanted(r) for r in planner.instance.off_requests]


def _add_cover(planner: _Planner) -> None:
    people = planner.instance.staff
    for need in planner.instance.cover:
        present = sum(planner.works[p.code, need.day, need.shift] for p in people)
        under = planner.model.new_int_var(0, need.required, "under")
        over = planner.model.new_int_var(0, len(people), "over")
        planner.model.add(present + under - over == need.required)
        planner.costs += [need.under_weight * under, need.over_weight * over]
