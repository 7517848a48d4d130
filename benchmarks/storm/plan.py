"""What a storm is to be, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .count import Broken
from .diary import Told

__all__ = ["DATABASES", "Plan", "Result"]

DATABASES: Final = ("sqlite", "postgresql", "mariadb")


@dataclass(frozen=True)
class Plan:
    """What is to happen.

    Attributes:
        database: One of :data:`DATABASES`.
        safe: With the extension, or by hand.
        seed: Decides what each thread does and which faults come; not how the threads take turns.
        seconds: How long it lasts.
        workers: Processes.
        threads: Threads of each.
        rate: How many of a hundred units get a fault of their own.
        pause: The mean time between two faults from outside, in seconds.
    """

    database: str
    safe: bool
    seed: int
    seconds: float
    workers: int = 2
    threads: int = 6
    rate: float = 1.0
    pause: float = 0.4


@dataclass(frozen=True)
class Result:
    """What came of it.

    Attributes:
        plan: What was to happen.
        told: What the workers wrote down.
        stored: The units that the database has.
        broken: The invariants.
    """

    plan: Plan
    told: Told
    stored: int
    broken: Broken
