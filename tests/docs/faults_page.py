"""Makes ``docs/reference/faults.rst`` from the table of faults: ``python -m tests.docs.faults_page``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from flask_safesession._core.faults.table import CATEGORIES, Category
from tests.faults.bench import DATABASES, DRIVERS, dialect_of
from tests.faults.table import NOT_PROVOKED, provocations

from .pages import DOCS

PATH = DOCS / "reference" / "faults.rst"

_OPENING = """\
.. Made from flask_safesession/_core/faults/table.py by "python -m tests.docs.faults_page".

Faults
======

What :func:`~flask_safesession.classify` tells of an error. *Transient* means that a new try may succeed,
*retry* that a new try of the whole transaction is right. The status is for the client whose request met the
error; 503 goes with ``Retry-After``.
"""

_RULES = """\
How an error is read
--------------------

* The driver's own code counts, never the class of the exception. A message is read only where there is no code:
  the failed and broken connections of psycopg and psycopg2, some broken ones of other drivers, and SQLite on
  Python 3.10, where a ``serialization_failure`` cannot be told from a ``lock_timeout``.
* What the call was doing counts. A connection that breaks while it is made is ``connection_refused``; one that
  breaks during COMMIT, or during a statement in AUTOCOMMIT, is ``commit_unknown``. For AUTOCOMMIT the engine
  has to be one that the extension has seen.
* The first error of a transaction counts. A deadlock inside a savepoint arrives from MariaDB as "SAVEPOINT does
  not exist", and is a ``deadlock``; what fails after ``transaction_aborted`` may be tried again if the first
  error may.
* Errors of this package mean what they were raised from. A :doc:`PartialCommitError <errors/partial-commit>` is
  ``commit_unknown``: a part of it is stored.
* A group of exceptions means what its members mean, where they agree.
* PostgreSQL's drivers tell the names of constraint, table and column, as far as the server does; the others
  have them in their messages only, and they are not guessed from there.
"""


def page() -> str:
    """The text of the page."""
    parts = [_OPENING, *_summary(), _RULES, *_codes(), *_tests()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _summary() -> Iterator[str]:
    rows = [
        (
            f"``{each.name}``",
            _yes(each.transient),
            _yes(each.retry_safe),
            _status(each),
            each.meaning,
        )
        for each in CATEGORIES
    ]
    yield _table(("category", "transient", "retry", "status", "meaning"), rows, "20 8 8 8 56")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _status(category: Category) -> str:
    return "409, 422" if category.name == "foreign_key" else str(category.http_status)


def _codes() -> Iterator[str]:
    yield _title("Codes")
    yield textwrap.dedent("""\
        A SQLSTATE of two characters stands for all of its class that are in no other category, and a name of
        SQLite for all that begin with it. What is not listed is ``unknown``.
        """)
    for attribute, name in DATABASES.items():
        rows = [
            (f"``{each.name}``", _literals(getattr(each, attribute)))
            for each in CATEGORIES
            if getattr(each, attribute)
        ]
        yield _table((name, "codes"), rows, "20 80")
    own = [
        (f"``{each.name}``", _literals(sorted(kind.__name__ for kind in each.sqlalchemy)))
        for each in CATEGORIES
        if each.sqlalchemy
    ]
    yield _table(("SQLAlchemy", "classes, with their subclasses"), own, "20 80")


def _literals(codes: Iterable[object]) -> str:
    return ", ".join(f"``{each}``" for each in codes)


def _tests() -> Iterator[str]:
    yield _title("What is proved")
    yield textwrap.dedent("""\
        The tests provoke each category on a real server through each driver, by the ways that are named here,
        and classify what comes out.
        """)
    rows = [
        (f"``{each.name}``", "; ".join(_ways(each.name)))
        for each in CATEGORIES
        if list(_ways(each.name))
    ]
    yield _table(("category", "provoked by"), rows, "20 80")
    yield "What cannot be provoked:\n"
    yield "\n".join(
        textwrap.fill(
            f"* ``{name}``, {DATABASES.get(where, where)}: {reason}", 118, subsequent_indent="  "
        )
        for (name, where), reason in NOT_PROVOKED.items()
    )


def _ways(category: str) -> Iterator[str]:
    by_ways = sorted((tuple(provocations(category, each)), each) for each in DRIVERS)
    for ways, group in groupby(by_ways, key=lambda pair: pair[0]):
        if ways:
            yield f"{_who([driver for _, driver in group])}: {', '.join(ways)}"


def _who(drivers: Sequence[str]) -> str:
    """The databases whose drivers are all there, and the other drivers by name."""
    if set(drivers) == set(DRIVERS):
        return "all"
    names: list[str] = []
    for dialect, name in DATABASES.items():
        own = [each for each in DRIVERS if dialect_of(each) == dialect]
        there = [each for each in own if each in drivers]
        names += [name] if there == own else there
    return ", ".join(names)


def _title(text: str) -> str:
    return f"{text}\n{'-' * len(text)}\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], widths: str) -> str:
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in (header, *rows):
        for index, cell in enumerate(row):
            mark = "   * - " if index == 0 else "     - "
            lines += textwrap.wrap(
                cell, 118, initial_indent=mark, subsequent_indent=" " * 7, break_long_words=False
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
