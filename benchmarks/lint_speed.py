"""Measures the checker's speed and memory, with a bare ``ast.parse`` of the same files beside it.

Run as ``python -m benchmarks.lint_speed [--lines 700000] [FOLDER]``. Without FOLDER a tree of so many lines is
generated: an application of many packages, in which every fourth module works with sessions.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PARSE = """
import ast, gc, pathlib, sys
gc.disable()
for path in pathlib.Path(sys.argv[1]).rglob("*.py"):
    ast.parse(path.read_bytes())
"""
PLAIN = '''\
class Report{number}:
    """What part {number} reports."""

    def __init__(self, title: str, rows: list[dict[str, int]]) -> None:
        self.title = title
        self.rows = rows

    def total(self, column: str) -> int:
        return sum(row.get(column, 0) for row in self.rows)

    def as_table(self, columns: list[str]) -> list[list[str]]:
        table = [columns]
        for row in self.rows:
            if all(column in row for column in columns):
                table.append([f"{{row[column]:>10}}" for column in columns])
        return table


'''
IMPORTS = """\
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from tree.database import SessionLocal, db
from tree.models import Order


"""
SESSIONS = """\
def place_order_{number}(customer: int, lines: list[int]) -> int:
    session = SessionLocal()
    try:
        order = Order(customer=customer)
        session.add(order)
        for line in lines:
            order.lines.append(line)
        session.commit()
        return order.id
    except IntegrityError:
        session.rollback()
        raise
    finally:
        session.close()


def cancel_order_{number}(number: int) -> bool:
    order = db.session.scalar(select(Order).where(Order.id == number))
    if order is None:
        return False
    place_order_{number}(order.customer, [])
    db.session.delete(order)
    db.session.commit()
    return True


"""
DATABASE = """\
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import sessionmaker

db = SQLAlchemy()
SessionLocal = sessionmaker()
"""
MODELS = "from tree.database import db\n\n\nclass Order(db.Model):\n    pass\n"
PARTS = 12


def modules() -> Iterator[str]:
    """Return the texts of modules without end."""
    number = 0
    while True:
        works = number % 4 == 0
        numbers = range(number * PARTS, (number + 1) * PARTS)
        body = "".join((SESSIONS if works else PLAIN).format(number=each) for each in numbers)
        yield (IMPORTS if works else "") + body
        number += 1


def generate(folder: Path, lines: int) -> None:
    """Write a tree of about so many lines."""
    package = folder / "tree"
    package.mkdir()
    for name, text in {"__init__": "", "database": DATABASE, "models": MODELS}.items():
        (package / f"{name}.py").write_text(text)
    for number, text in enumerate(modules()):
        inner = package / f"part{number // 40}"
        inner.mkdir(exist_ok=True)
        (inner / f"module{number}.py").write_text(text)
        lines -= text.count("\n")
        if lines <= 0:
            return


def count(folder: Path) -> int:
    """Return how many lines there are."""
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob("*.py"))


def measure(label: str, lines: int, *command: str | Path, home: Path) -> None:
    """Run a command and print its seconds, by the clock and of the processors, per 100,000 lines."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, *map(str, command)],
        env={**os.environ, "XDG_CACHE_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    clock = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    work = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    part = lines / 100_000
    most = after.ru_maxrss // 1024  # of the largest process so far
    print(
        f"{label:24} {clock:6.2f} s {clock / part:6.2f} {work / part:6.2f} per 100,000 lines {most:5} MB"
    )


def main() -> None:
    """Print one line for each way to run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=700_000)
    parser.add_argument("folder", type=Path, nargs="?")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, home = arguments.folder, Path(place, "home")
        if folder is None:
            folder = Path(place)
            generate(folder, arguments.lines)
        lines = count(folder)
        check = ("-m", "flask_safesession.lint", "check", folder)
        print(f"{lines} lines: by the clock, then the clock and the processors' time")
        measure("ast.parse of everything", lines, "-c", PARSE, folder, home=home)
        measure("one core", lines, *check, "--jobs", "1", "--no-cache", home=home)
        measure("all cores", lines, *check, "--no-cache", home=home)
        measure("all cores, first run", lines, *check, home=home)
        measure("nothing changed", lines, *check, home=home)


if __name__ == "__main__":
    main()
