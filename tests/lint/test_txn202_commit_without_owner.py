"""TXN202: a commit on a global session that nobody rolls back or closes on failure."""

from __future__ import annotations

from .kit import corpus_test

test_case = corpus_test("TXN202")
