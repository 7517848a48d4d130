"""Code comes in many shapes: each of the corpus is read, and the marked lines are found, no others."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import pytest

from flask_safesession.lint.checker import check

from .kit import CORPUS, EVERYTHING, check_files, check_text, rules_of

CASES = sorted((CORPUS / "shapes").glob("*.py"))
DEPTH = 16


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_marked_lines_are_found(case: Path) -> None:
    """Each rule speaks where it is marked, and nowhere else; notes are left out."""
    lines = enumerate(case.read_text(encoding="utf-8").splitlines(), 1)
    marked = {(number, line.rpartition("# ")[2]) for number, line in lines if "# TXN" in line}
    found = check([case], EVERYTHING, root=case.parent)
    assert {(each.line, each.rule) for each in found if each.level != "note"} == marked


def test_the_collector_stays_off_where_it_was(tmp_path: Path) -> None:
    """Whoever has switched it off goes on without it."""
    gc.disable()
    try:
        assert check_text(tmp_path, "from flask_sqlalchemy import SQLAlchemy\n") == []
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_nested_too_deeply_is_said(tmp_path: Path) -> None:
    """2,900 calls of calls of calls: no crash, and not in silence."""
    text = f"from flask_sqlalchemy import SQLAlchemy\nx = a{'()' * 2900}\n"
    assert rules_of(check_text(tmp_path, text)) == ["TXN001"]


def test_a_slow_call_is_known_under_another_name(tmp_path: Path) -> None:
    """The settings name it as its package does."""
    text = """
        from app import db
        from app.models import Item
        from framework.web import fetch as get

        def place():
            db.session.add(Item())
            db.session.flush()
            get("https://shop.example")
            db.session.commit()
        """
    options = replace(EVERYTHING, slow_calls=("framework.web.fetch",))
    assert rules_of(check_text(tmp_path, text, options)) == ["TXN502"]


PACKAGE = {
    "shop/__init__.py": "from .database import *\nfrom . import desk\n",
    "shop/database.py": """
        from sqlalchemy.orm import sessionmaker

        SessionLocal = sessionmaker()

        class Items:
            def add_all(self, session):
                session.add_all([])
                session.commit()

        def opened():
            return SessionLocal()
        """,
    "shop/desk/__init__.py": "",
    "shop/desk/tools.py": "def nothing():\n    return None\n",
    "shop/stars.py": """
        from shop.database import *
        from shop.desk.tools import *
        from unknown import *

        def place():
            session = opened()
            print(session, nothing(), missing())
            return absent.session
        """,
    "shop/late.py": """
        import shop
        import shop.database

        def place():
            from shop.database import SessionLocal
            session = SessionLocal()
            session.flush()

        def place_all():
            session = shop.database.SessionLocal()
            shop.database.Items.add_all(None, session)
            print(shop.desk.tools.nothing())
        """,
    "other.py": """
        from shop.database import SessionLocal
        from shop.database.Items import add_all
        from shop.database.Items import missing

        def place():
            add_all(1)
            missing(1)
        """,
}


def test_names_are_followed_through_packages_and_stars(tmp_path: Path) -> None:
    """A function that only a star brings, a package's module, an import inside a function, a method of a class."""
    found = check_files(tmp_path, PACKAGE)
    assert {(each.path, each.line) for each in found if each.rule == "TXN301"} == {
        ("shop/late.py", 6),
        ("shop/late.py", 10),
        ("shop/stars.py", 6),
    }


def nested(*last: str) -> str:
    """Return loops inside loops, with *last* in the middle, indented for the body of a function."""
    loops = [f"{'    ' * (each + 1)}for i{each} in range(2):" for each in range(DEPTH)]
    return "\n".join([*loops, *(f"{'    ' * (DEPTH + 1)}{each}" for each in last)])


def test_what_has_too_many_paths_is_left_alone(tmp_path: Path) -> None:
    """Sixteen loops inside each other have 65,536 paths, and the checker follows 20,000 steps."""
    text = f"""from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()

def store(item):
{nested("db.session.add(item)", "db.session.flush()", "store.delay()")}
    db.session.commit()

def fail():
{nested("print(1)")}
    raise ValueError

def place(item):
    try:
        db.session.commit()
    except Exception:
        fail()

def place_slowly(item):
    try:
        db.session.commit()
    except Exception:
    {nested("print(1)").replace(chr(10), chr(10) + "    ")}
"""
    assert {each.rule for each in check_text(tmp_path, text)} <= {"TXN201"}
