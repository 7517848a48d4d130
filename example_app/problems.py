"""What can be wrong with a request to the planner, as exceptions with an HTTP status."""

from __future__ import annotations

from collections.abc import Sequence


class PlannerError(Exception):
    """A problem to report to whoever asked; *status* is the HTTP status of the answer."""

    status = 400

    @property
    def details(self) -> Sequence[str]:
        """The single faults, where there are several."""
        return ()


class NotFoundError(PlannerError):
    """The thing that was asked for is not there."""

    status = 404


class ConflictError(PlannerError):
    """The thing is there, but in a state that forbids the change."""

    status = 409


class InvalidInputError(PlannerError):
    """The input cannot be understood."""

    status = 422


class GenerationError(PlannerError):
    """A run led to no schedule."""


class RuleBreachError(PlannerError):
    """A schedule breaks rules that must be kept."""

    status = 422

    def __init__(self, message: str, breaches: Sequence[str]) -> None:
        """Keep the single *breaches* beside the message."""
        super().__init__(message)
        self.breaches = tuple(breaches)

    @property
    def details(self) -> Sequence[str]:
        """The rules that are broken, one sentence each."""
        return self.breaches
