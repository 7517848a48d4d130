"""Runs CPython's own tests of thread pools on ``AppContextExecutor``: ``python -m tests.jobs.cpython_suite``."""

from __future__ import annotations

import concurrent.futures
import importlib
import pkgutil
import sys
import unittest
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from flask import Flask

from flask_safesession import AppContextExecutor, SafeSession

__all__ = ["SUITE"]

SUITE = "test.test_concurrent_futures"

app = Flask("cpython")
SafeSession(app)


class ThreadPoolExecutor(AppContextExecutor):
    """Made as the stock one is, for an app of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, app=app, **kwargs)


def main() -> int:
    """Run the tests whose executor is a thread pool; return the exit code."""
    concurrent.futures.ThreadPoolExecutor = ThreadPoolExecutor  # type: ignore[misc]
    suite = unittest.TestSuite()
    for module in _modules():
        for case in _cases(module):
            suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    result = unittest.TextTestRunner(sys.stdout, verbosity=1).run(suite)
    return 0 if result.wasSuccessful() and result.testsRun > 30 else 1


def _modules() -> Iterator[ModuleType]:
    """One file up to Python 3.11, a package since."""
    suite = importlib.import_module(SUITE)
    yield suite
    for each in pkgutil.iter_modules(getattr(suite, "__path__", [])):
        if each.name.startswith("test_"):
            yield importlib.import_module(f"{SUITE}.{each.name}")


def _cases(module: ModuleType) -> Iterator[type[unittest.TestCase]]:
    for case in list(vars(module).values()):
        if isinstance(case, type) and issubclass(case, unittest.TestCase):
            executor = getattr(case, "executor_type", None)
            if executor is not None and executor.__name__ == "ThreadPoolExecutor":
                case.executor_type = ThreadPoolExecutor  # type: ignore[attr-defined]
                yield case


if __name__ == "__main__":
    sys.exit(main())
