"""TXN503: 'delay', 'apply_async', 'enqueue' or 'send' inside a transaction, before its commit."""

from __future__ import annotations

from pathlib import Path

from flask_safesession.lint.options import Options

from .kit import check_files, check_text, corpus_test, rules_of

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


def test_a_sink_is_known_by_its_qualified_name(tmp_path: Path) -> None:
    """Whatever it is imported as, and although the project itself defines it."""
    files = {
        "app/jobs.py": """
            '''Jobs for other sessions.'''

            def push(kind, key):
                print(kind, key)
        """,
        "work.py": """
            from app.extensions import db
            from app.jobs import push as hand_over

            def work(order):
                db.session.add(order)
                hand_over("order", order.id)
                db.session.commit()

            def deeper(order):
                hand_over("order", order.id)

            def above(order):
                db.session.add(order)
                deeper(order)
                db.session.commit()
        """,
    }
    assert check_files(tmp_path, files) == []
    found = check_files(tmp_path, files, Options(sinks=("jobs.push",), tests=True))
    assert [(each.rule, each.line) for each in found] == [("TXN503", 6), ("TXN503", 14)]


def test_an_object_goes_nowhere_by_a_sink(tmp_path: Path) -> None:
    """TXN401 knows the sinks by the same names."""
    text = """
        from app.extensions import db
        from framework.jobs import push as hand_over

        def work():
            hand_over(db.session)
    """
    assert check_text(tmp_path, text) == []
    found = check_text(tmp_path, text, Options(sinks=("framework.jobs.push",), tests=True))
    assert rules_of(found) == ["TXN401"]
