"""TXN301: a session made from a factory that some path leaves open."""

from __future__ import annotations

from pathlib import Path

from .kit import check_text, corpus_test

test_case = corpus_test("TXN301")


def test_the_path_is_told_in_words(tmp_path: Path) -> None:
    """The finding says where the session came from, and which way out leaves it open."""
    text = """
        from app.database import SessionLocal

        def names(which):
            session = SessionLocal()
            if not which:
                return []
            session.close()
            return which
    """
    (found,) = check_text(tmp_path, text)
    expected = "'session' came from 'SessionLocal()' at line 4; 'return' at line 6 leaves it open."
    assert found.message == expected
    assert [step.line for step in found.steps] == [4, 6]
    assert found.call.startswith("Open it with 'with session_manager() as session:'")
    assert (found.line, found.column, found.level, found.function) == (4, 15, "error", "names")


def test_an_exception_alone_is_a_warning(tmp_path: Path) -> None:
    """Where only an exception leaves the session open, the finding is a warning."""
    text = """
        from app.database import SessionLocal

        def store(row):
            session = SessionLocal()
            session.add(row)
            session.commit()
            session.close()
    """
    assert [each.level for each in check_text(tmp_path, text)] == ["warning"]
