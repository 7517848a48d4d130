"""Every comment stays where it stood: beside its statement, above it, or in its place where that is gone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from .outcomes import PAIRS
from .rewritten import rewritten

BEFORE = sorted(
    each for each in PAIRS.glob("*/*_before.py") if '"""' not in each.read_text(encoding="utf-8")
)


def _start(lines: list[str]) -> int:
    """Return the first line that is no import, nor among them."""
    last = max(at for at, line in enumerate(lines) if line.startswith(("import ", "from ")))
    return last + 1


def _marked(code: str) -> tuple[str, dict[str, str]]:
    """Return *code* with a comment above and behind each of its lines, and the code of each comment."""
    lines = code.splitlines()
    start = _start(lines)
    new, of = lines[:start], {}
    for number, line in enumerate(lines[start:], start + 1):
        plain = line.strip()
        if not plain or plain.startswith("#"):
            continue
        indent = line[: len(line) - len(line.lstrip())]
        new += [f"{indent}# a{number}.", f"{line}  # b{number}."]
        of[f"# a{number}."] = of[f"# b{number}."] = line.split("#")[0].strip()
    return "\n".join(new) + "\n", of


def _once(lines: list[str], wanted: str) -> int | None:
    found = [at for at, line in enumerate(lines) if line.split("#")[0].strip() == wanted]
    return found[0] if len(found) == 1 else None


def _words(code: str) -> Counter[str]:
    return Counter(
        f"# {part.strip()}" for line in code.splitlines() for part in line.split("# ")[1:]
    )


@pytest.mark.parametrize("before", BEFORE, ids=lambda path: path.stem)
def test_every_comment_stays_where_it_stood(before: Path) -> None:
    """With a comment above and behind each line: none is lost, and none leaves its statement."""
    code, of = _marked(before.read_text(encoding="utf-8"))
    new = rewritten(code)
    assert new != code
    assert _words(new) == _words(code)
    old_lines, new_lines = code.splitlines(), new.splitlines()
    for comment, line in of.items():
        old, at = _once(old_lines, line), _once(new_lines, line)
        if old is None or at is None:
            continue
        if comment.startswith("# b"):
            assert comment in new_lines[at], new
        else:
            above = next(i for i in range(at - 1, -1, -1) if not _is_comment(new_lines[i]))
            assert any(comment in each for each in new_lines[above + 1 : at]), f"{comment}\n{new}"


def _is_comment(line: str) -> bool:
    """Whether it is a comment, or what the codemods put between one and its statement."""
    return not line.strip() or line.strip().startswith(("#", "@transactional"))


@pytest.mark.parametrize("before", BEFORE, ids=lambda path: path.stem)
def test_comments_keep_their_order(before: Path) -> None:
    """What is said after a statement is still said after it, and before the next."""
    code, of = _marked(before.read_text(encoding="utf-8"))
    new = rewritten(code).splitlines()
    old = code.splitlines()
    kept = [
        each
        for each in of.values()
        if _once(old, each) is not None and _once(new, each) is not None
    ]
    for comment in of:
        was, now = _at(old, comment), _at(new, comment)
        if "SessionLocal()" in of[comment] or of[comment].endswith("= None"):
            continue  # it goes with its statement, which becomes the block
        for line in kept:
            stood_behind, stands_behind = _only(old, line) <= was, _only(new, line) <= now
            assert stood_behind == stands_behind, f"{comment} {line}"


def _only(lines: list[str], wanted: str) -> int:
    found = _once(lines, wanted)
    assert found is not None
    return found


def _at(lines: list[str], comment: str) -> int:
    return next(at for at, line in enumerate(lines) if comment in line)


SHAPES = {
    "between the session and its try": (
        """\
def work(name):

    # The session.
    db = SessionLocal()
    # The count.
    count = 0

    # The work.
    try:  # all of it
        db.add(Item(name=name))
        # Stored.
        db.commit()
        # The end of the work.
    finally:  # in any case
        db.close()
    # The close is above.
    return count
""",
        """\
def work(name):

    # The count.
    count = 0

    # The session.
    # The work.
    # all of it
    with session_manager() as db:
        db.add(Item(name=name))
        # Stored.
        # The end of the work.
    # in any case
    # The close is above.
    return count
""",
    ),
    "made in a try that stays": (
        """\
def work(name):
    # The work.
    try:  # all of it
        # The session.
        db = SessionLocal()  # of the app
        db.add(Item(name=name))
        db.commit()
        # The end of the work.
    except ValueError:
        db.rollback()
        # No such item.
        return None
    # For Alice:
    except Exception:
        db.rollback()
        raise
    finally:
        # Back to the pool.
        db.close()
        # And on.
        check(name)
""",
        """\
def work(name):
    # The work.
    try:  # all of it
        # The session.
        with session_manager() as db:  # of the app
            db.add(Item(name=name))
        # The end of the work.
    except ValueError:
        # No such item.
        return None
    # For Alice:
    finally:
        # Back to the pool.
        # And on.
        check(name)
""",
    ),
    "a try that goes away, with an else": (
        """\
def work(name):
    db = SessionLocal()
    try:  # all of it
        check(name)
        # The end of the work.
    except Exception: raise  # whatever it is
    # Otherwise:
    else:  # as it should be
        # One item.
        db.add(Item(name=name))
        db.commit()
        # The end of it all.
    finally: db.close()  # in any case
""",
        """\
def work(name):
    # all of it
    with session_manager() as db:
        check(name)
        # The end of the work.
        # whatever it is
        # Otherwise:
        # as it should be
        # One item.
        db.add(Item(name=name))
    # The end of it all.
    # in any case
""",
    ),
    "an else of handlers that stay": (
        """\
def work(name):
    db = SessionLocal()
    try:
        db.add(Item(name=name))
        db.commit()
    except ValueError:
        return None
    # Never mind.
    except Exception:
        raise
    else:
        # It is there.
        return name
    finally:
        db.close()
""",
        """\
def work(name):
    try:
        with session_manager() as db:
            db.add(Item(name=name))
    except ValueError:
        return None
    # Never mind.
    else:
        # It is there.
        return name
""",
    ),
    "nothing but comments": (
        """\
def work(name):
    # The session.
    db = SessionLocal()
    # Nothing to do.
    db.commit()
    # Closed.
    db.close()
""",
        """\
def work(name):
    # The session.
    with session_manager() as db:
        # Nothing to do.
        pass
    # Closed.
""",
    ),
}
HEAD = "from store.database import SessionLocal\nfrom store.models import Item, check\n\n\n"
NEW_HEAD = (
    "from flask_safesession import session_manager\n\nfrom store.models import Item, check\n\n\n"
)


@pytest.mark.parametrize("shape", SHAPES)
def test_comments_of_a_shape(shape: str) -> None:
    """To the byte, and a second run changes nothing."""
    before, after = SHAPES[shape]
    assert rewritten(HEAD + before) == NEW_HEAD + after
    assert rewritten(NEW_HEAD + after) == NEW_HEAD + after


def test_the_comment_of_a_block_on_one_line() -> None:
    """It goes above the block that comes in its place."""
    new = rewritten(
        "from store.database import SessionLocal\n\n\ndef work(item):\n    db = SessionLocal()\n"
        "    try: db.add(item); db.commit()  # why\n    finally: db.close()  # end\n"
    )
    assert new.endswith(
        "def work(item):\n    # why\n    with session_manager() as db:\n        db.add(item)\n    # end\n"
    )
