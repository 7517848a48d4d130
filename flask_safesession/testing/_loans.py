"""What the code under test takes for a connection of its own."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any

from .._core.places import Place
from .._core.runners import current_runner

__all__ = ["BEGUN", "LOAN", "Loan", "loan_of"]

LOAN = "_safesession_loan"


class Loan:
    """One connection as the code under test sees it, and the transaction that is open on it.

    Attributes:
        place: The line that asked for it.
        thread: Whose transaction is open on it.
        runner: The same, also where that is a task.
        is_open: A transaction is open.
        is_over: The transaction has ended, and its savepoint goes with those above it.
        wrote: The transaction has sent what changes data, or what nobody has read.
        is_mixed: A transaction below it has written since it began.
        keeps: What it holds is to stay: it has committed, or another one on top of it has.
        took: Where a transaction came from that wrote and committed on top of it.
        commits_by_itself: It is in AUTOCOMMIT.
        is_read_only: It must not write.
        is_aborted: PostgreSQL had given it up before another one began on top of it.
        undo: What puts the settings of the transaction back.
        innermost: The name of the savepoint that a rollback would go to.
        refuge: The name of one from after what others have committed on top of it.
        made: The last cursor that was made for it.
        unread: How many cursors were used by hand, past SQLAlchemy.
    """

    __slots__ = (
        "_nested",
        "commits_by_itself",
        "is_aborted",
        "is_mixed",
        "is_open",
        "is_over",
        "is_read_only",
        "keeps",
        "made",
        "place",
        "refuge",
        "runner",
        "savepoint",
        "thread",
        "took",
        "undo",
        "unread",
        "wrote",
    )

    def __init__(self, number: int, place: Place) -> None:
        self.savepoint = f"safesession_{number}"
        self.place = place
        self.commits_by_itself = False
        self.is_open = False
        self.reset()

    def reset(self) -> None:
        """Start again, with the next transaction."""
        self.thread = threading.get_ident()
        self.runner = current_runner()
        self.is_over = self.wrote = self.is_mixed = self.is_read_only = self.is_aborted = False
        self.keeps = False
        self.took: Place | None = None
        self.undo: list[str] = []
        self.refuge: str | None = None
        self.made: object = None
        self.unread = 0
        self._nested: list[str] = []

    @property
    def must_be_undone(self) -> bool:
        """Whether a rollback has something to undo."""
        return self.wrote or self.unread > 0

    @property
    def innermost(self) -> str:
        return self._nested[-1] if self._nested else self.savepoint

    def keep(self) -> None:
        """It has committed."""
        self.keeps = True
        if self.must_be_undone:
            self.took = self.took or self.place

    def lose(self) -> None:
        """What it held was undone."""
        self.keeps, self.took = False, None
        self.undo.clear()

    def inherit(self, above: Loan) -> None:
        """Hold what *above* has left."""
        self.keeps = self.keeps or above.keeps
        self.took = above.took or self.took

    def give(self, cursor: object) -> None:
        """A *cursor* was made, by SQLAlchemy or by hand."""
        self.made = cursor
        self.unread += 1

    def read(self, cursor: object) -> None:
        """SQLAlchemy sends a statement through *cursor*."""
        if cursor is self.made:
            self.made = None
            self.unread -= 1

    def nest(self, command: str, name: str) -> None:
        """The transaction sends *command* for a savepoint of its own."""
        if command == "SAVEPOINT":
            self._nested.append(name)
        elif name in self._nested:
            del self._nested[self._nested.index(name) + (not command.startswith("RELEASE")) :]


# Those that a task has begun, and those that were open around it when it was started.
BEGUN: ContextVar[tuple[Loan, ...]] = ContextVar("safesession_begun", default=())


def loan_of(connection: Any) -> Loan | None:
    """The loan behind what SQLAlchemy has from a pool."""
    loan: Loan | None = getattr(connection, LOAN, None)
    return loan
