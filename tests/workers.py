"""Programs that tests start: an interpreter with its output read as it comes, ended by its own process number."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from .databases import Database
from .kit import Kit, make_kit

__all__ = ["StartWorker", "Worker", "database_environ", "worker_kit"]

ROOT = Path(__file__).parents[1]
_VARIABLE = "SAFESESSION_TEST_WORKER_DATABASE"

StartWorker = Callable[..., "Worker"]


class Worker:
    """A started program.

    Args:
        command: The arguments behind the interpreter, such as ``("-m", "celery", "worker")``.
        environ: Variables beside those of this process.
    """

    def __init__(self, *command: str, environ: Mapping[str, str] | None = None) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": os.pathsep.join(path for path in (str(ROOT), *sys.path) if path),
                **(environ or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, pattern: str, timeout: float = 30) -> re.Match[str]:
        """Return the first match of *pattern* in the output, which may still have to come.

        Raises:
            AssertionError: If it does not come within *timeout* seconds, or the program ends without it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._find(pattern), timeout)
            found = self._find(pattern)
        assert found is not None, f"no {pattern!r} in the output:\n{self.output}"
        return found

    def wait(self, timeout: float = 30) -> int:
        """Wait for the end of the program; return its exit code."""
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code

    def stop(self, timeout: float = 15) -> int:
        """End the program, by force if it does not end when it is asked; return its exit code."""
        self.process.terminate()
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.wait(timeout)
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    def _find(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, "".join(self._lines), re.MULTILINE)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def database_environ(database: Database) -> dict[str, str]:
    """The variable by which ``worker_kit`` finds *database* in another process."""
    plain = replace(database, observer=None, second_observer=None)
    return {_VARIABLE: json.dumps(asdict(plain))}


def worker_kit(**arguments: Any) -> Kit:
    """The kit of a started program, on the database of its test; arguments as for ``make_kit``."""
    found = Database(**json.loads(os.environ[_VARIABLE]))
    observer = create_engine(found.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    return make_kit(replace(found, observer=observer), **arguments)
