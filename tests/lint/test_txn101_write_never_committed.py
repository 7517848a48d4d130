"""TXN101: a write that no path from an entry point commits."""

from __future__ import annotations

from pathlib import Path

from flask_safesession.lint.options import Options

from .kit import check_text, corpus_test, rules_of

test_case = corpus_test("TXN101")


def test_a_configured_wrapper_commits(tmp_path: Path) -> None:
    """A name of ``wrappers`` counts as a commit."""
    text = """
        from flask import Blueprint
        from app.extensions import db
        from app.store import finish

        bp = Blueprint("x", __name__)

        @bp.route("/")
        def view():
            db.session.add(object())
            finish.all()
    """
    assert rules_of(check_text(tmp_path, text)) == ["TXN101"]
    assert check_text(tmp_path, text, Options(wrappers=("finish.all",), tests=True)) == []


def test_a_configured_owner_commits(tmp_path: Path) -> None:
    """A decorator of ``owners`` ends the transaction of what it decorates."""
    text = """
        from flask import Blueprint
        from app.extensions import db
        from app.store import whole

        bp = Blueprint("x", __name__)

        @bp.route("/")
        @whole
        def view():
            db.session.add(object())
    """
    assert rules_of(check_text(tmp_path, text)) == ["TXN101"]
    assert check_text(tmp_path, text, Options(owners=("whole",), tests=True)) == []
