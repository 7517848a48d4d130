"""TXN001: a file that could not be parsed."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from flask_safesession.lint.checker import check
from flask_safesession.lint.files import collect

from .kit import CORPUS, EVERYTHING, rules_of

SESSION = b"from sqlalchemy.orm import Session\n"


def findings_of(root: Path, data: bytes) -> list[str]:
    path = root / "file.py"
    path.write_bytes(data)
    return rules_of(check([path], EVERYTHING, root=root))


@pytest.mark.parametrize(
    "data",
    [
        b"def broken(:\n",
        b"print 'python 2'\n",
        b"\xff\xfe\x00",
        b"# coding: no-such-coding\n",
        b"# coding: ascii\nname = '\xc3\xa4'\n",
        b"a = 1\0\n",
        b"if True:\n\tx = 1\n        y = 2\n",
        SESSION + b"x = " + b"(" * 5_000 + b")" * 5_000,
        SESSION + b"x = " + b"-" * 50_000 + b"1",
        SESSION + b"x = a" + b".b" * 50_000,
    ],
    ids=[
        "syntax",
        "python-2",
        "utf-16",
        "coding",
        "ascii",
        "null",
        "tabs",
        "brackets",
        "signs",
        "dots",
    ],
)
def test_an_unreadable_file_is_named_once(tmp_path: Path, data: bytes) -> None:
    """Whatever the bytes are, there is one finding, and no crash."""
    assert findings_of(tmp_path, data) == ["TXN001"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xef\xbb\xbfx = 1\n",
        b"# coding: latin-1\nname = '\xe4'\n",
        SESSION + b"x = '" + b"a" * 5_000_000 + b"'\n",
        SESSION
        + b"".join(b" " * depth + b"for x in y:\n" for depth in range(19))
        + b" " * 19
        + b"pass\n",
        SESSION + b"a = b\nb = a\na.session.commit()\n",
        SESSION + b"class A(A): pass\nA().session.commit()\n",
        SESSION + b"from file import *\nfrom .file import session\nsession.commit()\n",
    ],
    ids=["empty", "bom", "latin-1", "5-mb-line", "nested", "circle", "own-base", "own-import"],
)
def test_an_odd_file_is_read(tmp_path: Path, data: bytes) -> None:
    """These are strange, and Python all the same."""
    assert findings_of(tmp_path, data) == []


@pytest.mark.parametrize("depth", [5, 12, 19])
def test_nested_loops_end(tmp_path: Path, depth: int) -> None:
    """Following the paths through nested loops takes no exponential time."""
    loops = b"".join(b" " * (level + 1) + b"for x in y:\n" for level in range(depth))
    body = (
        SESSION
        + b"def f():\n session = Session()\n"
        + loops
        + b" " * (depth + 2)
        + b"session.commit()\n"
    )
    assert "TXN001" not in findings_of(tmp_path, body)


@pytest.mark.parametrize("seed", range(8))
def test_a_mutilated_file_never_crashes(tmp_path: Path, seed: int) -> None:
    """Corpus files with bytes cut out, put in and lines exchanged give findings or TXN001."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    sources = [path.read_bytes() for path in sorted(CORPUS.glob("*/*.py"))]
    for _ in range(40):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.randint(0, 9)] = chance.choice(
                [b"", b"\xff", b"\n", b"    ", b"(", b"\0"]
            )
        findings_of(tmp_path, bytes(data))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that vanished between the listing and the reading is said."""
    found = check([tmp_path / "gone.py"], EVERYTHING, root=tmp_path)
    assert [(each.rule, each.path) for each in found] == [("TXN001", "gone.py")]
    assert "No such file" in found[0].message


def test_the_finding_has_the_line(tmp_path: Path) -> None:
    """The line of the syntax error is that of the finding."""
    (tmp_path / "a.py").write_text("x = 1\n\ndef broken(:\n")
    (found,) = check(collect([tmp_path], root=tmp_path), EVERYTHING, root=tmp_path)
    assert (found.line, found.level, found.function) == (3, "error", "")


def test_each_place_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A link to nothing, one to itself and a pipe: one finding each, with the reason."""
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    os.mkfifo(tmp_path / "pipe.py")
    found = check(collect([tmp_path], root=tmp_path), EVERYTHING, root=tmp_path)
    assert [(each.path, each.message.partition("read: ")[2]) for each in found] == [
        ("gone.py", "No such file or directory."),
        ("loop.py", "Too many levels of symbolic links."),
        ("pipe.py", "it is no regular file."),
    ]


def test_a_notebook_that_is_named_is_said_to_be_none(tmp_path: Path) -> None:
    """JSON parses as a dict of Python: before, its cells were passed over in silence."""
    path = tmp_path / "orders.ipynb"
    path.write_text('{"cells": [{"source": ["from sqlalchemy.orm import Session"]}]}')
    (found,) = check([path], EVERYTHING, root=tmp_path)
    assert (found.rule, "it is a notebook" in found.message) == ("TXN001", True)
