"""TXN503: 'delay', 'apply_async', 'enqueue' or 'send' inside a transaction, before its commit."""

from __future__ import annotations

from pathlib import Path

from flask_safesession.lint.options import Options

from .kit import check_text, corpus_test, rules_of

test_case = corpus_test("TXN503")


def test_a_configured_sink_enqueues(tmp_path: Path) -> None:
    """A name of ``sinks`` hands work to a queue."""
    text = """
        from app.extensions import db
        from app.jobs import jobs

        def work(order):
            db.session.add(order)
            jobs.push("order", order.id)
            db.session.commit()
    """
    assert check_text(tmp_path, text) == []
    assert rules_of(check_text(tmp_path, text, Options(sinks=("jobs.push",), tests=True))) == [
        "TXN503"
    ]
