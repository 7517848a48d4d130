"""Which comments of checked code are read, and as what."""

from __future__ import annotations

import textwrap

import pytest

from flask_safesession.lint.comments import Comment, read_comments


def _read(source: str) -> list[Comment]:
    return read_comments(textwrap.dedent(source).encode())


def _one(source: str) -> Comment:
    [comment] = _read(source)
    return comment


@pytest.mark.parametrize(
    ("written", "kind", "rules", "reason"),
    [
        ("# safesession: ignore[TXN502] it is a mock", "ignore", ("TXN502",), "it is a mock"),
        ("#safesession:ignore[TXN502]it is", "ignore", ("TXN502",), "it is"),
        ("# safesession: ignore[txn502, TXN301] both", "ignore", ("TXN502", "TXN301"), "both"),
        ("# safesession: ignore [TXN502] - dashed", "ignore", ("TXN502",), "dashed"),
        ("# safesession: ignore-file[TXN502] old", "ignore-file", ("TXN502",), "old"),
        ("# safesession: ignore[TXN502]", "ignore", ("TXN502",), ""),
        ("# safesession: ignore[TXN502] --", "ignore", ("TXN502",), ""),
        ("# safesession: ignore[] why", "ignore", (), "why"),
        ("# safesession: ignore because", "unclear", (), ""),
        ("# safesession: off", "unclear", (), ""),
        ("# noqa: TXN502", "noqa", ("TXN502",), ""),
        ("# NOQA:E501,TXN502", "noqa", ("E501", "TXN502"), ""),
        ("# noqa: E501 TXN502 because", "noqa", ("E501", "TXN502"), ""),
    ],
)
def test_a_comment(written: str, kind: str, rules: tuple[str, ...], reason: str) -> None:
    """A comment has a kind, rules and a reason."""
    comment = _one(f"x = 1  {written}\n")
    assert (comment.kind, comment.rules, comment.reason) == (kind, rules, reason)


@pytest.mark.parametrize(
    ("written", "holds"),
    [
        ("# safesession: ignore[TXN502] it is a mock", True),
        ("# safesession: ignore[TXN502]", False),
        ("# safesession: ignore[] it is a mock", False),
        ("# safesession: ignore it is a mock", False),
        ("# noqa: TXN502", True),
    ],
)
def test_a_reason_is_required(written: str, holds: bool) -> None:
    """Without a rule or a reason a comment does not hold; a noqa never had one."""
    assert _one(written).holds is holds


def test_one_line_may_hold_several() -> None:
    """A comment ends where the next begins."""
    line = "x()  # noqa: E501 # safesession: ignore[TXN502] a mock # type: ignore\n"
    own, noqa = sorted(_read(line), key=lambda each: each.kind)
    assert (own.reason, noqa.rules) == ("a mock", ("E501",))
    assert (noqa.column, own.column) == (6, 19)


def test_a_bare_noqa_is_not_about_transactions() -> None:
    """It was written for a line that is too long, and may not hide data that is lost."""
    assert _read("x = 1  # noqa\n") == []


def test_text_in_a_string_is_no_comment() -> None:
    """Only comments are read."""
    assert _read('x = "# safesession: ignore[TXN502] no"\n') == []


STATEMENT = """\
    x = 1
    session.execute(  # {first}
        select(Order),  # {inner}
    )  # {last}
    y = 2
"""


@pytest.mark.parametrize(
    ("where", "covered"), [("first", [2, 3, 4]), ("inner", [3]), ("last", [2, 3, 4])]
)
def test_a_statement_of_several_lines(where: str, covered: list[int]) -> None:
    """The comment holds for the whole statement on its first and last line, else for its own line."""
    marks = dict.fromkeys(("first", "inner", "last"), "")
    comment = _one(STATEMENT.format(**{**marks, where: "safesession: ignore[TXN502] why"}))
    assert [line for line in range(1, 6) if comment.covers(line)] == covered


def test_the_head_of_a_block_is_a_statement() -> None:
    """The comment at a ``with`` speaks about the line of the ``with``, not about the block."""
    comment = _one(
        """\
        with (
            SessionLocal() as session,
        ):  # safesession: ignore[TXN502] why
            session.commit()
        """
    )
    assert [line for line in range(1, 5) if comment.covers(line)] == [1, 2, 3]


def test_a_comment_alone_on_its_line_covers_no_statement() -> None:
    """It stands at none."""
    comment = _one("# safesession: ignore[TXN502] why\nsession.commit()\n")
    assert (comment.covers(1), comment.covers(2)) == (True, False)


def test_a_comment_at_the_end_of_the_file_is_read() -> None:
    """Also without a line feed after it."""
    assert _one("x = 1\n# safesession: ignore-file[TXN502] why").line == 2


def test_a_file_comment_covers_every_line() -> None:
    """``ignore-file`` may stand anywhere."""
    assert _one("x = 1\n# safesession: ignore-file[TXN502] why\n").covers(900)


@pytest.mark.parametrize(
    "source",
    [
        "def (:\n    pass\nx = 1  # safesession: ignore[TXN502] why\n",
        "x = (\ny = 1  # safesession: ignore[TXN502] why\n",
        "  x\n y  # safesession: ignore[TXN502] why\n",
        "\0\nx  # safesession: ignore[TXN502] why\n",
        "# coding: rot13\nx  # safesession: ignore[TXN502] why\n",
        "# coding: undefined\nx  # safesession: ignore[TXN502] why\n",
        "# coding: no-such\nx  # safesession: ignore[TXN502] why\n",
        "    ä\u2028\n(`\\}\ufeff\n\0ä\u2028\n\tx  # safesession: ignore[TXN502] why\n",
    ],
)
def test_a_file_that_is_not_python_is_read_by_line(source: str) -> None:
    """A comment in it may be about TXN001."""
    assert _one(source).rules == ("TXN502",)


def test_bytes_that_are_no_text_are_read_by_line() -> None:
    """A file in no known encoding has comments as well."""
    [comment] = read_comments(b"# \xff\nx  # safesession: ignore-file[TXN001] Latin-1\n")
    assert (comment.kind, comment.line, comment.column) == ("ignore-file", 2, 4)


def test_reading_warns_of_nothing() -> None:
    """The tokenizer of Python 3.12 compiles parts of strings, and warns of their escapes."""
    assert _one("f'{x!r:\\}}'  # safesession: ignore[TXN502] why\n").holds


def test_noqa_means_the_beginning_of_an_id() -> None:
    """As flake8 reads it; ``ignore`` takes whole ids only."""
    assert _one("x  # noqa: TXN5\n").names("TXN502") == "TXN5"
    assert _one("x  # noqa: TXN5\n").names("TXN301") is None
    assert _one("x  # safesession: ignore[TXN5] why\n").names("TXN502") is None
