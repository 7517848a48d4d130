"""The lines of checked files, as Python counts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_safesession.lint.report import Sources


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\r\nb\rc\n", ["a", "b", "c", ""]),
        (b"a\x0cb\xe2\x80\xa8c\n", ["a\x0cb\u2028c", ""]),
        (b"# coding: latin-1\n\xe4", ["# coding: latin-1", "ä"]),
        (b"# coding: no-such\n\xe4", ["# coding: no-such", "\ufffd"]),
        (b"# coding: rot13\n\xe4", ["# coding: rot13", "\ufffd"]),
        (b"# coding: undefined\na", ["# coding: undefined", "a"]),
        (b"\xef\xbb\xbfa", ["a"]),
        (b"", [""]),
    ],
)
def test_lines(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    """Form feeds and Unicode's separators end none; encodings are those that the file declares."""
    (tmp_path / "a.py").write_bytes(content)
    assert Sources(tmp_path).lines("a.py") == lines


def test_a_line_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """Lines are counted from 1, and the file may have changed."""
    (tmp_path / "a.py").write_text("a\nb")
    sources = Sources(tmp_path)
    assert [sources.line("a.py", number) for number in (0, 1, 2, 3)] == ["", "a", "b", ""]
    assert sources.line("gone.py", 1) == ""
