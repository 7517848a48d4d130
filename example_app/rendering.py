"""The roster and the scopes as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flask_safesession import Scope

from .grid import Cell, CoverCell, Grid

OUTCOME_STYLES = {"committed": "green", "rolled_back": "yellow", "unknown": "red"}


DAYS_ABREAST = 14


def print_grid(console: Console, grid: Grid) -> None:
    """Print the roster, two weeks abreast, its cost and the rules it breaks."""
    console.print(f"[bold]{escape(grid.title)}[/] ({grid.status}, cost {grid.cost})")
    for start in range(0, len(grid.days), DAYS_ABREAST):
        console.print(grid_table(grid, slice(start, start + DAYS_ABREAST)))
    console.print(
        "[dim]-  day off    [yellow]yellow[/]  request not granted    n/m  present/required[/]"
    )
    for breach in grid.breaches:
        console.print(f"[red]broken rule:[/] {escape(breach)}")


def grid_table(grid: Grid, part: slice) -> Table:
    """Return the days of *part*: a row for each employee and, below, for each shift's cover."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for day, weekday in grid.days[part]:
        table.add_column(f"{weekday}\n{day}", justify="center", no_wrap=True)
    for code, cells in grid.rows:
        table.add_row(escape(code), *map(_cell, cells[part]))
    table.add_section()
    for code, needs in grid.cover:
        table.add_row(f"[dim]{escape(code)}[/]", *map(_cover, needs[part]))
    return table


def _cell(cell: Cell) -> str:
    text = escape(cell.shift) or ("-" if cell.day_off else "")
    return f"[yellow]{text or '.'}[/]" if cell.unmet else text


def _cover(need: CoverCell) -> str:
    if need.required is None:
        return str(need.present)
    text = f"{need.present}/{need.required}"
    return f"[red]{text}[/]" if need.short else f"[dim]{text}[/]"


def scope_table(scopes: Iterable[Scope]) -> Table:
    """Return one row for each scope: its name, who owned it, and how it ended."""
    table = Table(title="Scopes", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    table.add_column("scope", no_wrap=True)
    table.add_column("owner", overflow="fold")
    table.add_column("outcome", no_wrap=True)
    for scope in scopes:
        outcome = outcome_text(scope)
        style = OUTCOME_STYLES.get(outcome, "red")
        table.add_row(escape(str(scope.name)), escape(owner_place(scope)), f"[{style}]{outcome}[/]")
    return table


def outcome_text(scope: Scope) -> str:
    """Return ``committed``, ``rolled_back`` or ``unknown``; ``open`` for one that has not ended."""
    return str(scope.outcome or "open")


def owner_place(scope: Scope) -> str:
    """Return the owner's ``file:line``; the name before it stands in the first column."""
    return scope.owner.removeprefix(scope.name or "").strip(" ()")
