"""The way in: order, cache, processes, progress, and what is left out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from flask_safesession.lint.checker import check
from flask_safesession.lint.files import collect
from flask_safesession.lint.options import Options
from flask_safesession.lint.rules import RULES

from .kit import CORPUS, check_files, check_text, rules_of

LEAK = """
    from app.database import SessionLocal

    def count():
        session = SessionLocal()
        return session.query(int).count()
"""


class Shelf(dict[str, bytes]):
    """A cache that counts its hits."""

    hits = 0

    def get(self, key: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        self.hits += key in self
        return super().get(key, default)

    def put(self, key: str, value: bytes) -> None:
        self[key] = value


def test_every_rule_has_a_corpus_of_ten_good_and_ten_bad_cases() -> None:
    """At least ten of each, and three hundred in all."""
    counts = {}
    for rule in RULES[1:]:
        names = [path.name for path in (CORPUS / rule.id.lower()).glob("*.py")]
        counts[rule.id] = (
            sum(name.startswith("good_") for name in names),
            sum(name.startswith("bad_") for name in names),
        )
    assert all(good >= 10 and bad >= 10 for good, bad in counts.values()), counts
    assert sum(good + bad for good, bad in counts.values()) >= 300


def test_the_rules_have_distinct_ids_in_order() -> None:
    """Ids never change, and no two rules share one."""
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))
    assert len(ids) == 14


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_process_and_two_find_the_same(jobs: int) -> None:
    """The corpus of one rule gives the same findings however it is read."""
    files = collect([CORPUS], root=CORPUS)
    found = check(files, Options(tests=True), root=CORPUS, jobs=jobs)
    assert len(found) > 150
    keys = [(each.path, each.line, each.column) for each in found]
    assert keys == sorted(keys)


def test_a_second_run_comes_from_the_cache(tmp_path: Path) -> None:
    """Nothing changed: one look-up gives the findings."""
    shelf = Shelf()
    (tmp_path / "a.py").write_text(
        "from app.database import SessionLocal\nsession = SessionLocal()\n"
    )
    files = [tmp_path / "a.py"]
    first = check(files, Options(), root=tmp_path, cache=shelf)
    assert check(files, Options(), root=tmp_path, cache=shelf) == first
    assert rules_of(first) == ["TXN302"]
    assert shelf.hits == 1


def test_a_changed_file_is_read_again_and_the_others_are_not(tmp_path: Path) -> None:
    """The facts of a content are kept, whatever happens to the other files."""
    shelf = Shelf()
    (tmp_path / "a.py").write_text(
        "from app.database import SessionLocal\nsession = SessionLocal()\n"
    )
    (tmp_path / "b.py").write_text("x = 1\n")
    files = collect([tmp_path], root=tmp_path)
    check(files, Options(), root=tmp_path, cache=shelf)
    (tmp_path / "b.py").write_text("x = 2\n")
    assert rules_of(check(files, Options(), root=tmp_path, cache=shelf)) == ["TXN302"]
    assert shelf.hits == 1


def test_the_progress_counts_the_files(tmp_path: Path) -> None:
    """The callback gets the number of files read and the number there are."""
    for name in "abc":
        (tmp_path / f"{name}.py").write_text("x = 1\n")
    seen: list[tuple[int, int]] = []
    check(
        collect([tmp_path], root=tmp_path),
        Options(),
        root=tmp_path,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    "name", ["tests/test_a.py", "test_a.py", "a_test.py", "conftest.py", "migrations/env.py"]
)
def test_tests_and_migrations_are_off_by_default(tmp_path: Path, name: str) -> None:
    """They have a profile of their own."""
    assert check_files(tmp_path, {name: LEAK}, Options()) == []
    assert rules_of(check_files(tmp_path, {name: LEAK}, Options(tests=True))) == ["TXN301"]


def test_a_migration_is_known_by_its_content(tmp_path: Path) -> None:
    """Alembic's scripts are migrations wherever they lie."""
    text = LEAK + "\n    from alembic import op\n    down_revision = None\n"
    assert check_files(tmp_path, {"versions/1_first.py": text}, Options()) == []


def test_code_without_sqlalchemy_has_no_findings(tmp_path: Path) -> None:
    """Sessions of other libraries, commits of other things and threads are nobody's business."""
    text = """
        import requests
        from threading import Thread

        session = requests.Session()

        def work(repo):
            for path in repo:
                session.post("https://example.org", data=path)
                repo.commit()

        Thread(target=work, args=(session,)).start()
    """
    assert check_text(tmp_path, text) == []


def test_a_broken_file_is_named_although_nothing_in_it_could_matter(tmp_path: Path) -> None:
    """A file is never skipped in silence, whatever the size of the project."""
    files = {"app/report.py": LEAK, "app/words.py": "print 'hello'\n"}
    assert rules_of(check_files(tmp_path, files)) == ["TXN301", "TXN001"]


def test_a_project_that_imports_only_this_package_is_checked(tmp_path: Path) -> None:
    """Its sessions come from here, and SQLAlchemy is nowhere mentioned."""
    text = """
        import requests
        from flask_safesession import session_manager

        def publish(day):
            with session_manager() as session:
                session.add(Schedule(day))
                session.flush()
                requests.post(HOOK, json=day)
    """
    assert rules_of(check_text(tmp_path, text)) == ["TXN502"]


HANDLER = """
    try:
        session.add({number})
        session.commit()
    except Exception:
        pass
"""
FUNCTION = """
def step_{number}(session):
    step_{number}_again(session)
    session.add({number})
"""


def _work(root: Path, head: str, block: str, count: int) -> int:
    """Return how many functions are called to check a file of so many blocks."""
    path = root / "long.py"
    path.write_text(head + "".join(block.format(number=each) for each in range(count)))
    calls = 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(counted)
    try:
        check([path], Options(), root=root)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    ("head", "block"),
    [
        ("from sqlalchemy.orm import Session\n\ndef store(session: Session):\n", HANDLER),
        ("from sqlalchemy.orm import Session\n", FUNCTION),
    ],
    ids=["handlers", "functions"],
)
def test_a_file_of_twice_the_length_takes_about_twice_the_work(
    tmp_path: Path, head: str, block: str
) -> None:
    """Generated code has thousands of blocks in one file."""
    assert _work(tmp_path, head, block, 200) < 2.5 * _work(tmp_path, head, block, 100)
