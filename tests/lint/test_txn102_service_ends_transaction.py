"""TXN102: a function that works on a session it was given commits, rolls back or closes it."""

from __future__ import annotations

from pathlib import Path

from flask_safesession.lint.options import Options

from .kit import check_files, check_text, corpus_test

test_case = corpus_test("TXN102")


def test_a_caller_with_its_own_session_makes_it_an_error(tmp_path: Path) -> None:
    """A caller that is seen to own the session is named, and the finding is an error."""
    found = check_files(
        tmp_path,
        {
            "service.py": """
                from sqlalchemy.orm import Session

                def rename(session: Session, name: str) -> None:
                    session.commit()
            """,
            "views.py": """
                from app.database import SessionLocal
                from service import rename

                def view():
                    with SessionLocal() as session:
                        rename(session, "x")
            """,
        },
    )
    assert [(each.rule, each.level, each.path) for each in found] == [
        ("TXN102", "error", "service.py")
    ]
    assert "'view' owns it (views.py:6)" in found[0].message


def test_without_such_a_caller_it_is_a_note(tmp_path: Path) -> None:
    """Nobody is seen to own the session: a note, which is hidden unless asked for."""
    text = "from sqlalchemy.orm import Session\n\ndef rename(session: Session):\n    session.commit()\n"
    assert [each.level for each in check_text(tmp_path, text)] == ["note"]


def test_a_service_glob_makes_it_an_error(tmp_path: Path) -> None:
    """A file that the project calls a service may never commit."""
    text = "from sqlalchemy.orm import Session\n\ndef rename(session: Session):\n    session.commit()\n"
    found = check_text(tmp_path, text, Options(services=("snip*.py",), tests=True))
    assert [each.level for each in found] == ["error"]
