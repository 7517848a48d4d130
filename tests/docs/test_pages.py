"""The code in the documentation runs and prints what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .pages import Page, pages

LANGUAGES = {"console", "pycon", "python", "text"}


def _cases() -> list[Any]:
    return [_case(page) for page in pages() if page.field("run") != "as files"]


def _case(page: Page) -> Any:
    on = page.field("database") or "sqlite"
    marks = [pytest.mark.postgresql] if on == "postgresql" else []
    return pytest.param(page, on, id=page.name, marks=marks)


@pytest.mark.parametrize(("page", "example_database"), _cases(), indirect=["example_database"])
def test_a_page(page: Page, bench: Path, request: pytest.FixtureRequest) -> None:
    """Every example of a page runs, on the database and the broker that the page is about."""
    if page.field("broker") == "redis":
        request.getfixturevalue("example_redis")
    if (needed := page.field("needs")) is not None:
        pytest.importorskip(needed)
    page.run()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_no_code_escapes(page: Page) -> None:
    """Python stands in blocks that are run: nothing is marked up as code in another way."""
    assert {block.language for block in page.blocks()} <= LANGUAGES
    assert [word for word in (".. code::", ".. sourcecode::", "::\n\n") if word in page.text] == []
