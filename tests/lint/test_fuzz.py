"""No file is too odd for the checker: whatever it is given, it answers with findings and never crashes."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from flask_safesession.lint.checker import check

from .kit import EVERYTHING, rules_of

HEAD = "from sqlalchemy.orm import Session, sessionmaker\n\nSessionLocal = sessionmaker()\n\n\n"

# What each release added to the grammar, around a session.
SYNTAX = {
    (3, 8): "def f(session: Session, /):\n    if n := session.query(1):\n        print(f'{n=}')\n",
    (3, 9): "@[print][0]\ndef f(session: Session) -> dict[str, int]:\n    return {} | {}\n",
    (3, 10): (
        "def f(session: Session, x):\n    with (SessionLocal() as a, SessionLocal() as b):\n        a.commit()\n"
        "    match x:\n        case {'a': [1, *rest]} if session:\n            session.add(x)\n"
        "        case str() | None:\n            pass\n        case _:\n            session.flush()\n"
    ),
    (3, 11): (
        "def f(session: Session, *args: *tuple[int]):\n    try:\n        session.flush()\n"
        "    except* ValueError:\n        raise\n"
    ),
    (3, 12): (
        "type Rows[T] = list[T]\n\ndef f[T](session: Session, x: T) -> T:\n"
        "    return f'{session.scalar(f'{x}')}'\n"
    ),
    (3, 13): "def f[T = int](session: Session, x: T):\n    session.add(x)\n",
    (3, 14): (
        "def f(session: Session):\n    try:\n        session.flush()\n"
        "    except ValueError, TypeError:\n        raise\n    return t'{session}'\n"
    ),
}

BLOCKS = (
    "if x:",
    "for x in session.scalars(q):",
    "while x:",
    "with SessionLocal() as session:",
    "with session.begin():",
    "try:",
    "async def inner(session):",
    "class Inner(Base):",
    "def inner(self, session=None):",
)
LINES = (
    "session = SessionLocal()",
    "session.add(x)",
    "session.commit()",
    "session.rollback()",
    "session.close()",
    "x = inner(session) or session",
    "self.session = session",
    "return session",
    "yield session",
    "raise x",
    "break",
    "x = [session.get(x, y) for y in z if (x := y)]",
    "Thread(target=inner, args=(session,)).start()",
    "inner = lambda session: session.commit()",
    "global session",
    "x, *session = inner(*x, **y)",
)


def _rules(root: Path, data: bytes) -> list[str]:
    path = root / "file.py"
    path.write_bytes(data)
    return rules_of(check([path], EVERYTHING, root=root))


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_are_findings_or_one_line(tmp_path: Path, seed: int) -> None:
    """A file of chance is named once, unless chance made it Python."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    for _ in range(20):
        data = chance.randbytes(chance.randrange(200))
        assert _rules(tmp_path, data) in ([], ["TXN001"])
        assert _rules(tmp_path, HEAD.encode() + data) in ([], ["TXN001"])


@pytest.mark.parametrize("version", SYNTAX, ids=str)
def test_the_syntax_of_each_release(tmp_path: Path, version: tuple[int, int]) -> None:
    """It is read where the running Python, or LibCST, knows it; else it is said."""
    found = _rules(tmp_path, (HEAD + SYNTAX[version]).encode())
    if version <= sys.version_info[:2]:
        assert "TXN001" not in found
    assert found.count("TXN001") <= 1


def _block(chance: random.Random, depth: int) -> list[str]:
    lines: list[str] = []
    for _ in range(chance.randint(1, 4)):
        if depth < 7 and chance.random() < 0.4:
            head = chance.choice(BLOCKS)
            lines += [head, *_indented(chance, depth)]
            if head == "try:":
                lines += ["except Exception:", *_indented(chance, depth)]
                lines += ["finally:", *_indented(chance, depth)] * chance.randrange(2)
        else:
            lines.append(chance.choice(LINES))
    return lines


def _indented(chance: random.Random, depth: int) -> list[str]:
    return [f" {line}" for line in _block(chance, depth + 1)]


@pytest.mark.parametrize("seed", range(30))
def test_any_program_is_followed_to_its_end(tmp_path: Path, seed: int) -> None:
    """Loops, handlers, generators and classes in any order; names that mean several things."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    for _ in range(10):
        body = "\n".join(["async def work(session):", *_indented(chance, 0), *_block(chance, 0)])
        assert len(_rules(tmp_path, (HEAD + body).encode())) < 1_000


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """Modules that import each other, and classes, variables and functions that lead to themselves."""
    (tmp_path / "one.py").write_text(
        HEAD + "from two import *\nfrom two import Base, session\n\n"
        "class Child(Base):\n    def save(self):\n        self.parent.save()\n        session.commit()\n"
    )
    (tmp_path / "two.py").write_text(
        HEAD + "from one import *\nfrom one import Child as Base, session\n\n"
        "def store():\n    return again()\n\ndef again():\n    return store()\n\nagain().commit()\n"
    )
    files = [tmp_path / "one.py", tmp_path / "two.py"]
    assert "TXN001" not in rules_of(check(files, EVERYTHING, root=tmp_path))
