"""``AppContextExecutor`` is a ``ThreadPoolExecutor``: CPython's own tests say so."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from ..workers import StartWorker
from .cpython_suite import SUITE


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(
    importlib.util.find_spec(SUITE) is None,
    reason=f"this Python {sys.version_info[0]}.{sys.version_info[1]} came without its own tests",
)
def test_cpythons_own_tests(start_worker: StartWorker) -> None:
    """All of CPython's tests of thread pools pass: initializers, shutdown, ``wait``, ``map``, references, exit."""
    worker = start_worker("-m", "tests.jobs.cpython_suite")
    code = worker.wait(150)
    assert (code, "OK" in worker.output) == (0, True), worker.output
