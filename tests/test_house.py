"""The rules of the house: floors, imports, sizes, and what may not stand in any file."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "flask_safesession"
MODULES = sorted(PACKAGE.rglob("*.py"))
EXTRAS = (
    "flask_sqlalchemy_lite",
    "MySQLdb",
    "celery",
    "kombu",
    "ortools",
    "psycopg",
    "psycopg2",
    "pymysql",
    "pytest",
    "rich",
    "rq",
    "sqlalchemy.ext.asyncio",
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _functions() -> Iterator[tuple[str, Function]]:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def _body_lines(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_imports_point_downwards_only() -> None:
    """The contracts of setup.cfg are kept."""
    result = _run(Path(sys.executable).with_name("lint-imports"), "--no-cache")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout


def test_the_package_imports_none_of_its_extras() -> None:
    """Importing the package, in an interpreter of its own, loads nothing that is optional."""
    script = "import sys; from flask_safesession import *; print(*sys.modules)"
    result = _run(sys.executable, "-W", "error", "-Ic", script)
    assert result.returncode == 0, result.stderr
    assert set(EXTRAS) & set(result.stdout.split()) == set()


def test_no_function_body_is_long() -> None:
    """No body has more than 40 lines."""
    assert [name for name, function in _functions() if _body_lines(function) > 40] == []


def test_hardly_any_function_body_is_longer_than_a_screen() -> None:
    """At most two of a hundred bodies have more than 30 lines."""
    sizes = [_body_lines(function) for _, function in _functions()]
    assert sum(size > 30 for size in sizes) <= len(sizes) / 50


def test_most_function_bodies_are_tiny() -> None:
    """The median body has five lines or fewer."""
    assert statistics.median(_body_lines(function) for _, function in _functions()) <= 5


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module(path: Path) -> None:
    """A module opens with one sentence, stays under 320 lines and guards nothing by an assert."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert ast.get_docstring(tree), "no docstring"
    assert len(source.splitlines()) <= 320
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)] == []


def test_the_front_door_holds_imports_and_names_only() -> None:
    """``__init__`` has imports and ``__all__``, nothing else; those for type checkers stand below an ``if``."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    body = [
        inner
        for node in tree.body[1:]
        for inner in ([*node.body, *node.orelse] if isinstance(node, ast.If) else [node])
    ]
    assert [ast.unparse(node) for node in body if not isinstance(node, allowed)] == []


def test_no_module_bears_the_name_of_what_it_exports() -> None:
    """``from flask_safesession import name`` never yields a module in place of a function."""
    public = {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("_")}
    functions = {
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, Function)
    }
    assert public & functions == set()


def _texts() -> Iterator[Path]:
    folders = ("flask_safesession", "tests", "example_app", "benchmarks", "docs")
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".md", ".rst", ".html"} and "_build" not in path.parts:
                yield path


# Put together, so that this file does not hold them itself.
@pytest.mark.parametrize("mark", ["TO" + "DO", "FIX" + "ME", "XX" + "X", "time.sl" + "eep("])
def test_no_file_holds(mark: str) -> None:
    """Unfinished work and sleeping are in no file."""
    assert [
        str(path.relative_to(ROOT)) for path in _texts() if mark in path.read_text(encoding="utf-8")
    ] == []
