"""What the workers write down as it happens: one line each, which survives the SIGKILL of its writer."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = [
    "ACKNOWLEDGED",
    "BEGUN",
    "ENDED",
    "FAULT",
    "LEFT",
    "SEEN",
    "SENT",
    "SLOW",
    "Diary",
    "Told",
    "read",
]

BEGUN: Final = "begun"
ACKNOWLEDGED: Final = "acknowledged"
SENT: Final = "sent"
FAULT: Final = "fault"
SEEN: Final = "seen"
ENDED: Final = "ended"
SLOW: Final = "slow"
LEFT: Final = "left"


class Diary:
    """The diary of one process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, kind: str, what: str) -> None:
        """Write a line, whole or not at all."""
        os.write(self._file, f"{kind} {what}\n".encode())


@dataclass
class Told:
    """What the diaries of a storm tell.

    Attributes:
        begun: The units that were begun.
        acknowledged: Those whose caller was told that they are stored.
        sent: What the hooks have sent.
        faults: The faults that were put in, by kind.
        seen: The errors of the database, by category; a unit may have met several and succeeded.
        ended: How the other units ended.
        slow: The units that took longer than a caller waits.
        left: Connections and threads that were left at the end of a process.
    """

    begun: int = 0
    acknowledged: set[str] = field(default_factory=set)
    sent: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    slow: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, what: str) -> None:
        """Take a line over."""
        if kind == BEGUN:
            self.begun += 1
        elif kind == ACKNOWLEDGED:
            self.acknowledged.add(what)
        elif kind == SENT:
            self.sent.append(what)
        elif kind == SLOW:
            self.slow.append(what)
        elif kind == LEFT:
            name, _, number = what.partition(" ")
            self.left[name] += int(number)
        else:
            {FAULT: self.faults, SEEN: self.seen, ENDED: self.ended}[kind][what] += 1


def read(folder: Path) -> Told:
    """Read all diaries in *folder*."""
    told = Told()
    for path in sorted(folder.glob("*.diary")):
        for line in path.read_text().splitlines():
            kind, _, what = line.partition(" ")
            told.add(kind, what)
    return told
