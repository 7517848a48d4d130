"""A program that ends in the middle of a job: ``python -m tests.jobs.exiting <ending> <rows>``."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from flask_safesession import AppContextExecutor, AppContextManager

from ..workers import worker_kit

kit = worker_kit()
executor: AppContextExecutor = AppContextManager(kit.app, transactional=True).executor(2)
half = threading.Event()
told = threading.Event()


def job(rows: int, *, seconds: float) -> None:
    """Store half of the rows, wait, store the other half."""
    session = kit.db.session
    for at in range(rows):
        if at == rows // 2:
            half.set()
            threading.Event().wait(seconds)
        session.add(kit.Item(name=str(at)))
        session.flush()


def _exit(*_: int | FrameType | None) -> None:
    sys.exit(3)


def _drop(*_: int | FrameType | None) -> None:
    print(executor.shutdown(timeout=0.05), flush=True)
    told.set()


def main(ending: str, rows: int) -> None:
    """Begin a job that is half done when the program ends."""
    is_long = ending in {"killed", "dropped"}
    executor.submit(job, rows, seconds=2 if ending == "dropped" else 60 if is_long else 0.5)
    half.wait(20)
    if ending == "exit":
        sys.exit(0)
    if ending == "error":
        raise KeyError(ending)
    if ending == "handled":
        signal.signal(signal.SIGTERM, _exit)
    if ending == "dropped":
        signal.signal(signal.SIGTERM, _drop)
    print("ready", flush=True)
    told.wait(60)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
