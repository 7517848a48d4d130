"""What the tests of the checker's shell share: findings, small projects, and runs of the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask_safesession.lint.findings import Finding, Level, Step
from flask_safesession.lint.report import Report, Sources
from flask_safesession.lint.suppressions import Silenced

ROOT = Path(__file__).parents[2]

LEAK = """\
from sqlalchemy.orm import sessionmaker

SessionLocal = sessionmaker()


def report(customer):
    session = SessionLocal()
    return session.get(Order, customer)
"""
"""A module with one finding, the error TXN301."""

LOOP = """\
from sqlalchemy import select
from sqlalchemy.orm import Session


def raise_prices(engine):
    with Session(engine) as session:
        for product in session.scalars(select(Product)):
            product.price += 1
            session.commit()
"""
"""A module with one finding, the warning TXN501."""

CLEAN = """\
from sqlalchemy.orm import sessionmaker

SessionLocal = sessionmaker()


def report(customer):
    with SessionLocal() as session:
        return session.get(Order, customer)
"""


def finding(
    path: str = "app/views.py",
    line: int = 7,
    rule: str = "TXN301",
    level: Level = "error",
    **changes: Any,
) -> Finding:
    """Make a finding; what is not given has a likely value."""
    values: dict[str, Any] = {
        "column": 5,
        "end_line": line,
        "end_column": 29,
        "message": "'session' is left open by 'report'.",
        "call": "Write 'with SessionLocal() as session:'.",
        "function": "report",
        "steps": (Step(path, line, "'session' is made by 'SessionLocal()'"),),
    }
    return Finding(path=path, line=line, rule=rule, level=level, **{**values, **changes})


def report(root: Path, *shown: Finding, silenced: tuple[Silenced, ...] = ()) -> Report:
    """Make a report on the files below *root*."""
    return Report(Sources(root), files=3, shown=shown, silenced=silenced)


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write *files*, by their paths below *root*."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def run_module(module: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module`` with this package, and with a cache below *cwd*."""
    path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(cwd / ".user-cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
