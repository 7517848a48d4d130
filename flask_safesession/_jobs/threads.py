"""A thread whose target runs in contexts and a session of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from .job import Job, sent_arguments, sent_job
from .options import JobOptions

__all__ = ["AppContextThread"]


class AppContextThread(threading.Thread):
    """A thread that looks up the app, the context variables and ``g`` when it is started.

    Args:
        options: How its target runs.
        target: The function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        more: The other arguments of :class:`threading.Thread`.
    """

    _job: Job | None = None

    def __init__(
        self,
        options: JobOptions,
        target: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self._options = options
        self._fn = target
        self._sent = sent_arguments(options, target, args, kwargs)

    def start(self) -> None:
        """Start the thread, with the context variables and the ``g`` of the caller.

        Raises:
            NoAppError: If there is no app.
        """
        self._job = self._make_job()
        super().start()

    def run(self) -> None:
        """Call the target in a new application context with its own session."""
        job, self._job = self._job or self._make_job(), None
        job()

    def _make_job(self) -> Job:
        return sent_job(self._options, self._fn, *self._sent)
