"""TXN302: a session instance at module or class level, in a default argument or a cache."""

from __future__ import annotations

from .kit import corpus_test

test_case = corpus_test("TXN302")
