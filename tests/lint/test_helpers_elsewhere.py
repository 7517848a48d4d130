"""A session that is given to a helper in a file of its own: what it does there counts, whatever it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from .kit import check_files, rules_of

FACTORY = """
    from sqlalchemy.orm import sessionmaker

    SessionLocal = sessionmaker()
"""
CLOSED = """
    from tools.ends import bye

    from app.database import SessionLocal
    from app.models import Export

    def export(export_id):
        work = SessionLocal()
        try:
            work.get(Export, export_id).run()
        finally:
            bye(work)
"""
UNDONE = """
    from sqlalchemy.exc import SQLAlchemyError

    from app.models import Export, db
    from tools.ends import undo

    def export(export_id):
        try:
            db.session.add(Export(id=export_id))
            db.session.commit()
        except SQLAlchemyError as error:
            undo(db.session, error)
"""
ENDS = """
    def bye(s):
        s.close()

    def undo(s, error):
        print(error)
        s.rollback()
"""


def _found(root: Path, text: str, ends: str) -> list[str]:
    files = {"app/__init__.py": "", "app/database.py": FACTORY, "app/work.py": text}
    if ends:
        files["tools/ends.py"] = ends
    return rules_of(check_files(root, files))


def test_a_helper_without_a_word_of_sqlalchemy_is_read(tmp_path: Path) -> None:
    """It closes what it gets; what it gets is a session."""
    assert _found(tmp_path, CLOSED, "def bye(s):\n    s.close()\n") == []
    assert _found(tmp_path, CLOSED, "def bye(s):\n    print(s)\n") == ["TXN301"]


def test_a_helper_that_rolls_back_is_read(tmp_path: Path) -> None:
    """Or one that closes: both leave a session that can be used."""
    assert _found(tmp_path, UNDONE, ENDS) == []
    assert _found(tmp_path, UNDONE, "def undo(s, error):\n    print(s, error)\n") == ["TXN201"]


@pytest.mark.parametrize("imported", ["from .ends import", "from app.ends import"])
def test_a_helper_that_was_not_read_may_end_the_session(tmp_path: Path, imported: str) -> None:
    """A run over one file says nothing of what only another file can tell."""
    for text in (CLOSED, UNDONE):
        assert _found(tmp_path, text.replace("from tools.ends import", imported), "") == []


def test_a_session_that_is_used_after_an_unread_helper_was_not_closed_by_it(tmp_path: Path) -> None:
    """So it is still open when the function ends."""
    used = """
        from app.database import SessionLocal
        from app.ends import prepare

        def export(export_id):
            work = SessionLocal()
            prepare(export_id)
            prepare(export_id, work)
            work.get(int, export_id)
    """
    assert _found(tmp_path, used, "") == ["TXN301"]


def test_a_package_of_others_does_not_end_a_session(tmp_path: Path) -> None:
    """A function inside that imports it, too."""
    inside = """
        from app.database import SessionLocal

        def export(query):
            from pandas import read_sql

            work = SessionLocal()
            return read_sql(query, work)
    """
    assert _found(tmp_path, inside, "") == ["TXN301"]
