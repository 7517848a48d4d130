"""A report as a page for people: complete, self-contained and escaped."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from flask_safesession.lint.outputs import html

from .shell import LEAK, finding, report, write

_VOID = {"meta"}


class Page(HTMLParser):
    """Reads a page: its text, its tags with their attributes, and whether they are balanced."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def texts(self, tag: str, source: str) -> list[str]:
        return [part.partition(f"</{tag}>")[0] for part in source.split(f"<{tag}>")[1:]]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"app/views.py": LEAK})


def test_a_finding_is_shown_with_its_code(tmp_path: Path) -> None:
    """What, where, how it gets there, what to write instead, and the lines around it."""
    source = html.render(report(tmp_path, finding()))
    text = Page(source).text
    for part in (
        "1 finding (1 error) in 1 of 3 files.",
        "app/views.py",
        "'session' is left open by 'report'. line 7",
        "'session' is made by 'SessionLocal()' app/views.py:7",
        "Instead: Write 'with SessionLocal() as session:'.",
        "return session.get(Order, customer)",
    ):
        assert part in text
    assert '<span class="found"><i>7</i>    session = SessionLocal()</span>' in source


def test_the_page_is_balanced_and_needs_nothing_else(tmp_path: Path) -> None:
    """No script, no image, no style sheet from elsewhere; links are followed by people only."""
    page = Page(html.render(report(tmp_path, finding(), finding(rule="TXN502"))))
    assert page.open == []
    assert {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags} == set()
    assert [attributes for _, attributes in page.tags if "src" in attributes] == []
    [policy] = [each["content"] for _, each in page.tags if "http-equiv" in each]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "url(" not in html.render(report(tmp_path))


def test_it_is_grouped_by_rule_file_and_function(tmp_path: Path) -> None:
    """The rules with errors first."""
    source = html.render(
        report(
            tmp_path,
            finding(function="b", level="warning"),
            finding(function="", level="note"),
            finding("app/a.py", level="warning"),
            finding(rule="TXN502"),
        )
    )
    page = Page(source)
    assert [each["id"] for tag, each in page.tags if tag == "section"] == ["TXN502", "TXN301"]
    assert page.texts("h3", source) == ["app/views.py", "app/a.py", "app/views.py"]
    assert page.texts("h4", source) == [
        "<code>report</code>",
        "<code>report</code>",
        "at module level",
        "<code>b</code>",
    ]


def test_checked_code_cannot_become_part_of_the_page(tmp_path: Path) -> None:
    """Names, messages and lines are escaped."""
    evil = '<script>alert("1")</script>&\''
    write(tmp_path, {"<b>.py": f"{evil}\n" * 9})
    odd = finding("<b>.py", message=evil, call=evil, function=evil)
    source = html.render(report(tmp_path, odd))
    page = Page(source)
    assert ("<script" in source, "<b>.py" in source) == (False, False)
    assert page.text.count(evil) >= 4


def test_both_colour_schemes_are_there(tmp_path: Path) -> None:
    """The reader's system chooses."""
    source = html.render(report(tmp_path))
    assert "prefers-color-scheme: dark" in source


def test_a_file_that_is_gone_shows_no_code(tmp_path: Path) -> None:
    """The finding stands nevertheless."""
    source = html.render(report(tmp_path, finding("gone.py", steps=(), call="")))
    assert ("<pre>" in source, "gone.py" in source, "Instead" in source) == (False, True, False)


def test_a_very_long_line_is_cut(tmp_path: Path) -> None:
    """A page of 5 MB helps nobody."""
    write(tmp_path, {"app/views.py": "x = '" + "y" * 5_000_000 + "'\n"})
    assert len(html.render(report(tmp_path, finding(line=1)))) < 20_000


def test_no_findings_make_a_page_as_well(tmp_path: Path) -> None:
    """It says so."""
    page = Page(html.render(report(tmp_path)))
    assert "No findings in 3 files." in page.text
    assert "table" not in {tag for tag, _ in page.tags}
