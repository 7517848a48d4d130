"""A job that waits for the COMMIT and then goes to a queue, whose worker runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["QueuedJob"]


@dataclass(repr=False)
class QueuedJob:
    """A hook whose name in log lines and errors is the job that it sends.

    Attributes:
        text: What is sent: ``"the Celery task 'shop.restock()'"``.
        send: Sends it.
        run: Does in this process what the worker would do; a test may want that in the place of the sending.
    """

    text: str
    send: Callable[[], object]
    run: Callable[[], object]

    def __call__(self) -> None:
        self.send()

    def __repr__(self) -> str:
        return self.text
