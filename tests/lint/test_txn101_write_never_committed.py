"""TXN101: a write that no path from an entry point commits."""

from __future__ import annotations

from pathlib import Path

from flask_safesession.lint.options import Options

from .kit import check_files, check_text, corpus_test, rules_of

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


def test_a_wrapper_is_known_by_its_qualified_name(tmp_path: Path) -> None:
    """Whatever it is imported as, and wherever it is defined."""
    files = {
        "app/store.py": """
            '''What is done with a session.'''

            def finish(work):
                work.done = True
        """,
        "views.py": """
            from celery import shared_task
            from app.extensions import db
            from app.store import finish as done
            from framework.saving import store as keep

            @shared_task
            def task(work):
                db.session.add(work)
                done(work)

            @shared_task
            def another(work):
                db.session.add(work)
                keep(work)
        """,
    }
    assert rules_of(check_files(tmp_path, files)) == ["TXN101", "TXN101"]
    wrappers = ("store.finish", "framework.saving.*")
    assert check_files(tmp_path, files, Options(wrappers=wrappers, tests=True)) == []


def test_an_owner_is_known_by_its_qualified_name(tmp_path: Path) -> None:
    """Also where its body is read and shows nothing; another decorator of the project is still none."""
    files = {
        "app/store.py": """
            '''What is done around a session.'''

            def whole(function):
                return function

            class Whole:
                def __init__(self, function):
                    self.function = function
        """,
        "views.py": """
            from celery import shared_task
            from app.extensions import db
            from app.store import Whole, whole as unit

            @shared_task
            @unit
            def task(work):
                db.session.add(work)

            @shared_task
            @Whole
            def another(work):
                db.session.add(work)
        """,
    }
    assert rules_of(check_files(tmp_path, files)) == ["TXN101", "TXN101"]
    owners = ("app.store.whole", "store.Whole")
    assert check_files(tmp_path, files, Options(owners=owners, tests=True)) == []


def test_a_model_is_known_whose_file_names_neither_a_session_nor_sqlalchemy(tmp_path: Path) -> None:
    """As most files of models with Flask-SQLAlchemy."""
    files = {
        "shop/extensions.py": """
            from flask_sqlalchemy import SQLAlchemy

            db = SQLAlchemy()
        """,
        "shop/models.py": """
            from shop.extensions import db

            class Order(db.Model):
                id = db.Column(db.Integer, primary_key=True)
                paid = db.Column(db.Boolean)
        """,
        "shop/views.py": """
            from flask import Blueprint
            from shop.models import Order

            bp = Blueprint("orders", __name__)

            @bp.post("/orders/<int:id>")
            def pay(id):
                order = Order.query.get_or_404(id)
                order.paid = True
                return ""
        """,
    }
    assert rules_of(check_files(tmp_path, files)) == ["TXN101"]
