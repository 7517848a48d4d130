"""The app in the README runs as it is pasted."""

from __future__ import annotations

import re
from pathlib import Path

from flask import Flask

from .pages import ROOT

README = ROOT / "README.md"


def _paste() -> str:
    found = re.search(r"```python\n(.+?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def _app(bench: Path) -> Flask:
    namespace = {"__name__": "app", "__file__": str(bench / "app.py")}
    exec(compile(_paste(), "app.py", "exec"), namespace)  # noqa: S102 - what a reader does
    app: Flask = namespace["app"]  # type: ignore[assignment]
    return app


def test_the_app_is_short() -> None:
    """Twenty lines of code, or a few more."""
    lines = [line for line in _paste().splitlines() if line.strip()]
    assert len(lines) <= 24


def test_the_app_stores_what_is_valid(bench: Path) -> None:
    """A note is stored, and logged after that."""
    client = _app(bench).test_client()
    assert client.post("/notes/hello").status_code == 201
    assert client.get("/notes").json == ["hello"]


def test_the_app_stores_nothing_that_fails(bench: Path) -> None:
    """A note that is refused after it was flushed leaves nothing."""
    client = _app(bench).test_client()
    assert client.post(f"/notes/{'x' * 41}").status_code == 422
    assert client.get("/notes").json == []


def test_every_link_into_the_repository_leads_somewhere() -> None:
    """No link of the README is broken."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_opens_with_the_two_commands() -> None:
    """``make demo`` and ``make test`` come before any code."""
    before = README.read_text(encoding="utf-8").partition("```python")[0]
    assert [each for each in ("make demo", "make test") if each not in before] == []
