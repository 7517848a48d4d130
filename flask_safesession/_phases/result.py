"""What the last phase of a job is told, and what the three functions take and give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from sqlalchemy.orm import Session

__all__ = ["Execute", "PhaseResult", "Prepare", "Record"]

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True)
class PhaseResult(Generic[R_co]):
    """How the middle phase of a job ended.

    Attributes:
        status: ``"succeeded"`` or ``"failed"``.
        value: What *execute* returned; None if it failed.
        error: The exception that left *execute*, or a hook of *prepare*: then *execute* was not called. None if it
            succeeded.
        elapsed: How long *execute* took, in seconds.

    .. versionadded:: 0.1
    """

    status: Literal["succeeded", "failed"]
    value: R_co | None
    error: BaseException | None
    elapsed: float


Prepare = Callable[[Session], T]
Execute = Callable[[T], R]
Record = Callable[[Session, PhaseResult[R]], object]
