"""TXN402: one session in several coroutines of 'gather', 'create_task' or a 'TaskGroup'."""

from __future__ import annotations

from .kit import corpus_test

test_case = corpus_test("TXN402")
