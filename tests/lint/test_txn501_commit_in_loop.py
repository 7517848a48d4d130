"""TXN501: a commit per iteration over one result set."""

from __future__ import annotations

from .kit import corpus_test

test_case = corpus_test("TXN501")
