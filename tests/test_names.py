"""The package gives its names when they are asked for, and loads no framework before."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import flask_safesession

ROOT = Path(__file__).parents[1]
FRAMEWORKS = {"flask", "sqlalchemy", "flask_sqlalchemy", "werkzeug"}


def _loaded_by(statement: str) -> set[str]:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["flask_safesession", "flask_safesession.lint.cli"])
def test_the_checker_waits_for_no_framework(module: str) -> None:
    """It reads code of projects that have other versions, or none at all."""
    assert _loaded_by(f"import {module}") & FRAMEWORKS == set()


def test_a_star_import_gives_every_name() -> None:
    """``__all__`` is what it gives."""
    names: dict[str, object] = {}
    exec("from flask_safesession import *", names)  # noqa: S102 - inside a function it is a syntax error
    assert sorted(set(names) - {"__builtins__"}) == flask_safesession.__all__


def test_type_checkers_read_the_same_names() -> None:
    """The imports of ``__init__`` are the names and the homes that the package looks up."""
    tree = ast.parse(Path(flask_safesession.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    for node in imports:
        module = import_module(
            f"flask_safesession.{node.module}" if node.module else "flask_safesession"
        )
        for each in node.names:
            assert getattr(flask_safesession, each.name) is getattr(module, each.name)
    assert sorted(each.name for node in imports for each in node.names) == flask_safesession.__all__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As in any module."""
    with pytest.raises(
        AttributeError, match="module 'flask_safesession' has no attribute 'commit'"
    ):
        flask_safesession.commit  # type: ignore[attr-defined]  # noqa: B018


def test_the_names_are_listed() -> None:
    """Consoles complete them before they are loaded."""
    assert set(flask_safesession.__all__) <= set(dir(flask_safesession))
