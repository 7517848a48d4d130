"""An open transaction as a path of a function has it, and a call that is made inside of one."""

from __future__ import annotations

from dataclasses import dataclass

from .facts import Call
from .findings import Step
from .values import Session

__all__ = ["Inside", "Open", "joined"]


@dataclass(frozen=True, slots=True)
class Open:
    """An open transaction of one session.

    Attributes:
        session: The session.
        sent: The first statement, or what stands for it.
        written: The first write.
        changed: The first attribute of an instance that was set.
        waited: The calls that waited since then.
        queued: The calls that handed work to a queue since then.
        begun: The ``begin()`` that nobody kept the result of, or the ``add()`` that began.
    """

    session: Session
    sent: Step | None = None
    written: Step | None = None
    changed: Step | None = None
    waited: frozenset[int] = frozenset()
    queued: frozenset[int] = frozenset()
    begun: Step | None = None


@dataclass(frozen=True, slots=True)
class Inside:
    """A call that was made inside a transaction.

    Attributes:
        call: The call.
        text: What it does, by name.
        session: Whose transaction it is.
        opened: The statement or write that came before it.
        ended: The commit that came after it, where one was seen.
        deeper: Where the waiting happens, if it is not this very call.
    """

    call: Call
    text: str
    session: Session
    opened: Step
    ended: Step | None = None
    deeper: Step | None = None

    def steps(self, path: str, does: str) -> list[Step]:
        """Return the path in words; *does* says what the call itself does."""
        own = sorted((self.opened, Step(path, self.call.at.line, does)), key=lambda each: each.line)
        return own + [each for each in (self.deeper, self.ended) if each is not None]


def joined(one: Open, other: Open) -> Open:
    """Return a transaction that may be either of the two."""
    return Open(
        one.session,
        one.sent or other.sent,
        one.written or other.written,
        one.changed or other.changed,
        one.waited | other.waited,
        one.queued | other.queued,
        one.begun or other.begun,
    )
