"""Comments silence findings, and are reported where they silence nothing."""

from __future__ import annotations

import pytest

from flask_safesession.lint import catalogue
from flask_safesession.lint.comments import read_comments
from flask_safesession.lint.findings import Finding
from flask_safesession.lint.suppressions import Judged, judge

from .shell import finding


def _saw_everything(rule: str, path: str) -> bool:
    return True


def _judge(
    source: str, *findings: Finding, unseen: frozenset[str] = frozenset()
) -> tuple[Judged, list[str]]:
    comments = {"app/views.py": read_comments(source.encode())}
    judged = judge(findings, comments, lambda rule, path: rule not in unseen)
    return judged, [f"{each.message} {each.call}" for each in judged.remarks]


def test_a_comment_with_a_reason_silences() -> None:
    """The finding is kept aside, with the reason."""
    found = finding(line=1)
    judged, remarks = _judge("x()  # safesession: ignore[TXN301] it is closed later\n", found)
    assert (judged.left, remarks) == ([], [])
    assert [(each.finding, each.kind, each.reason) for each in judged.silenced] == [
        (found, "inSource", "it is closed later")
    ]


def test_noqa_silences() -> None:
    """Its text stands for the reason that it cannot have."""
    judged, remarks = _judge("x()  # noqa: TXN301\n", finding(line=1))
    assert (judged.left, remarks) == ([], [])
    assert judged.silenced[0].reason == "# noqa: TXN301"


def test_an_unused_noqa_is_nobodys_business() -> None:
    """It may be there for another linter."""
    judged, remarks = _judge("x()  # noqa: E501, TXN301\n")
    assert (judged.silenced, remarks) == ([], [])


@pytest.mark.parametrize(
    ("comment", "remark"),
    [
        (
            "# safesession: ignore[TXN301]",
            (
                "'# safesession: ignore[TXN301]' gives no reason, so it silences nothing. "
                "Write '# safesession: ignore[TXN301] and the reason'."
            ),
        ),
        (
            "# safesession: ignore-file[] why",
            (
                "'# safesession: ignore-file[] why' names no rule, so it silences nothing. "
                "Write '# safesession: ignore-file[TXN502] and the reason'."
            ),
        ),
        (
            "# safesession: disable",
            (
                "'# safesession: disable' is not understood, so it silences nothing. "
                "Write '# safesession: ignore[TXN502] and the reason'."
            ),
        ),
        (
            "# safesession: ignore[TXN3010] why",
            (
                "'TXN3010' is not a rule. Did you mean 'TXN301'? "
                "Name a rule of the checker, or remove the comment."
            ),
        ),
    ],
)
def test_a_comment_that_cannot_hold(comment: str, remark: str) -> None:
    """It silences nothing, and the remark shows what to write."""
    found = finding(line=1)
    judged, remarks = _judge(f"x()  {comment}\n", found)
    assert (judged.left, judged.silenced, remarks) == ([found], [], [remark])


def test_an_unused_comment_is_reported() -> None:
    """At its own place, as a warning."""
    judged, _ = _judge("y()\nx()  # safesession: ignore[TXN301] why\n", finding(line=1))
    [remark] = judged.remarks
    assert (remark.path, remark.line, remark.column) == ("app/views.py", 2, 6)
    assert (remark.rule, remark.level) == (catalogue.COMMENTS.id, "warning")
    assert remark.message == (
        "'ignore[TXN301]' silences nothing: the rule finds nothing in this statement."
    )


def test_each_unused_rule_of_a_comment_is_reported() -> None:
    """One that is used does not excuse the other."""
    source = "x()  # safesession: ignore[TXN301, TXN502] why\n"
    _, remarks = _judge(source, finding(line=1))
    assert remarks == [
        (
            "'ignore[TXN502]' silences nothing: the rule finds nothing in this statement. "
            "Remove 'TXN502' from the comment."
        )
    ]


def test_an_unused_file_comment_is_reported() -> None:
    """It says so about the file."""
    _, remarks = _judge("# safesession: ignore-file[TXN502] why\n")
    assert remarks[0].startswith(
        "'ignore-file[TXN502]' silences nothing: the rule finds nothing in this file."
    )


def test_a_comment_about_a_rule_that_was_not_looked_for_is_not_unused() -> None:
    """``--select`` must not make the comments about other rules look superfluous."""
    source = "x()  # safesession: ignore[TXN301] why\n"
    assert _judge(source, unseen=frozenset({"TXN301"}))[1] == []
    assert _judge(source, unseen=frozenset({"TXN002"}))[1] == []


def test_a_finding_elsewhere_stays() -> None:
    """A comment holds at its statement, a file comment in its file."""
    source = "x()  # safesession: ignore[TXN301] why\ny()\n"
    here, below, other = finding(line=1), finding(line=2), finding("app/models.py", line=1)
    judged, remarks = _judge(source, here, below, other)
    assert (judged.left, remarks) == ([below, other], [])
