"""TXN403: a worker that uses 'db.session', 'current_app' or models with no context pushed."""

from __future__ import annotations

from .kit import corpus_test

test_case = corpus_test("TXN403")
