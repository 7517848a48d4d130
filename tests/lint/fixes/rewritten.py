"""Runs the codemods on small projects in memory."""

from __future__ import annotations

from collections.abc import Mapping

from flask_safesession.lint.fixes.changes import Outcome
from flask_safesession.lint.fixes.codemods import codemods
from flask_safesession.lint.fixes.files import Reader
from flask_safesession.lint.fixes.rewriting import Codemod, rewrite
from flask_safesession.lint.options import Options

from .outcomes import HERE

STORE = {
    "store/__init__.py": b"",
    **{
        f"store/{name}.py": (HERE / "store" / f"{name}.py").read_bytes()
        for name in ("database", "mail", "models", "shop")
    },
}


def run(files: Mapping[str, str], *factories: str, wanted: frozenset[str] | None = None) -> Outcome:
    """Rewrite the files of a project, all of them unless *wanted* names some."""
    contents = {**STORE, **{name: text.encode() for name, text in files.items()}}
    may_change = frozenset(contents) if wanted is None else wanted
    return rewrite(contents, codemods(frozenset(factories)), Reader(Options()), may_change)


def rewritten(code: str) -> str:
    """Return what becomes of one module of the store."""
    found = run({"work.py": code})
    return found.contents.get("work.py", code.encode()).decode()


def left(code: str) -> list[str]:
    """Return why places of one module are left alone, with their lines."""
    return [f"{each.line}: {each.reason}" for each in run({"work.py": code}).left]


def rewritten_by(files: Mapping[str, str], codemod: Codemod) -> Outcome:
    """Rewrite the files of a project with one codemod."""
    contents = {**STORE, **{name: text.encode() for name, text in files.items()}}
    return rewrite(contents, (codemod,), Reader(Options()), frozenset(contents))
