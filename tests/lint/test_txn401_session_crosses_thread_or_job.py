"""TXN401: a session, ORM instance or request proxy handed to a thread, executor, task, background task or queue."""

from __future__ import annotations

from .kit import corpus_test

test_case = corpus_test("TXN401")
