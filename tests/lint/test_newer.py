"""Syntax that is newer than the interpreter."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from flask_safesession.lint import older
from flask_safesession.lint.newer import older_spelling

from .kit import check_text, rules_of

NEWER = [
    ("try:\n  pass\nexcept A, B:\n  pass\n", "try:\n  pass\nexcept (A, B):\n  pass\n"),
    (
        "try:\n  pass\nexcept A:\n  pass\nexcept B, C:\n  pass\n",
        "try:\n  pass\nexcept A:\n  pass\nexcept (B, C):\n  pass\n",
    ),
    ("def f[T: int](x: T) -> T: return x\n", "def f(x: T) -> T: return x\n"),
    ("type X[T] = list[T]\n", "pass\n"),
    ('x = f"{d["a"]}"\n', 'x = ""\n'),
    ('x = t"{a}"\n', 'x = ""\n'),
    ("class A[T](B): pass\n", "class A(B): pass\n"),
    ('y = f"""{a!r:{w}}\n{b}"""\n', 'y = """\n"""\n'),
]


@pytest.mark.parametrize(("newer", "expected"), NEWER)
def test_newer_syntax_gets_an_older_spelling_of_as_many_lines(newer: str, expected: str) -> None:
    """Lines keep their numbers, and the oldest supported grammar reads the result."""
    assert older_spelling(newer) == expected
    assert expected.count("\n") == newer.count("\n")
    ast.parse(expected)


def test_what_nobody_can_read_has_no_older_spelling() -> None:
    """A real syntax error stays one."""
    assert older_spelling("def broken(:\n") is None


def test_without_libcst_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not installed: the file is not checked, and that is said."""
    monkeypatch.setitem(sys.modules, older.__name__, None)
    monkeypatch.delattr(sys.modules["flask_safesession.lint"], "older")
    assert older_spelling("x = 1") is None


def test_a_file_of_a_newer_python_is_checked(tmp_path: Path) -> None:
    """Its findings have the lines of the file as it is."""
    text = """
        from app.database import SessionLocal

        def count[T](kind: T) -> int:
            try:
                session = SessionLocal()
                return session.query(kind).count()
            except ValueError, KeyError:
                return 0
    """
    found = check_text(tmp_path, text)
    assert rules_of(found) == ["TXN301"]
    assert found[0].line == 5


def test_what_stays_wrong_in_an_older_spelling_is_said(tmp_path: Path) -> None:
    """LibCST reads the escape of a letter that does not exist, and the interpreter does not."""
    text = 'from flask_sqlalchemy import SQLAlchemy\n\nname = "\\N{no such letter}"\n'
    assert rules_of(check_text(tmp_path, text)) == ["TXN001"]
