"""TXN201: an 'except' around database work that neither re-raises nor rolls back while the session lives on."""

from __future__ import annotations

from .kit import corpus_test

test_case = corpus_test("TXN201")
