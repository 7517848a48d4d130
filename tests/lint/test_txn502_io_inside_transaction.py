"""TXN502: HTTP, sleep, subprocess, mail or cloud calls between the first statement and the commit."""

from __future__ import annotations

from pathlib import Path

from flask_safesession.lint.options import Options

from .kit import check_files, check_text, corpus_test, rules_of

test_case = corpus_test("TXN502")


def test_a_configured_call_is_slow(tmp_path: Path) -> None:
    """A name of ``slow_calls`` waits."""
    text = """
        from app.extensions import db
        from app.printer import printer

        def work(order_id):
            order = db.session.get(object, order_id)
            printer.print_label(order)
            db.session.commit()
    """
    assert check_text(tmp_path, text) == []
    options = Options(slow_calls=("printer.print_*",), tests=True)
    assert rules_of(check_text(tmp_path, text, options)) == ["TXN502"]


def test_a_function_of_the_project_can_be_slow(tmp_path: Path) -> None:
    """By its qualified name, although its body shows no waiting."""
    files = {
        "app/printer.py": """
            '''Slow, so no session should wait for it.'''

            def print_label(order):
                order.spool()
        """,
        "work.py": """
            from app.extensions import db
            from app.printer import print_label as label

            def work(order_id):
                order = db.session.get(object, order_id)
                label(order)
                db.session.commit()
        """,
    }
    assert check_files(tmp_path, files) == []
    options = Options(slow_calls=("app.printer.*",), tests=True)
    assert rules_of(check_files(tmp_path, files, options)) == ["TXN502"]
