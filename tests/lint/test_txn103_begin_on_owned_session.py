"""TXN103: 'begin()' or a second context manager on an injected, managed or already begun session."""

from __future__ import annotations

from .kit import corpus_test

test_case = corpus_test("TXN103")
