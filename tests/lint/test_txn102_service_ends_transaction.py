"""TXN102: a function that works on a session it was given commits, rolls back or closes it."""

from __future__ import annotations

from pathlib import Path

from flask_safesession.lint.options import Options

from .kit import check_files, check_text, corpus_test

test_case = corpus_test("TXN102")

SERVICE = """
from sqlalchemy.orm import Session

def rename(session: Session, name: str) -> None:
    session.commit()
"""


def test_a_caller_with_its_own_session_makes_it_an_error(tmp_path: Path) -> None:
    """A caller that is seen to own the session is named, and the finding is an error."""
    found = check_files(
        tmp_path,
        {
            "service.py": SERVICE,
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
    assert [each.level for each in check_text(tmp_path, SERVICE)] == ["note"]


def test_a_service_glob_makes_it_an_error(tmp_path: Path) -> None:
    """A file that the project calls a service may never commit."""
    found = check_text(tmp_path, SERVICE, Options(services=("snip*.py",), tests=True))
    assert [each.level for each in found] == ["error"]


def test_a_block_around_the_call_makes_it_an_error(tmp_path: Path) -> None:
    """The caller's block owns the session, also where it has no name there."""
    found = check_files(
        tmp_path,
        {
            "service.py": SERVICE,
            "views.py": """
                from app.extensions import db
                from flask_safesession import session_manager
                from service import rename

                def view():
                    with session_manager():
                        rename(db.session, "x")
            """,
        },
    )
    assert [(each.rule, each.level) for each in found] == [("TXN102", "error")]
    assert "'view' owns it (views.py:7)" in found[0].message


def test_a_service_leaves_the_session_of_the_app_to_its_callers(tmp_path: Path) -> None:
    """In a file that the project calls a service 'db.session.commit()' is an error, elsewhere it is silent."""
    text = "from app.extensions import db\n\ndef rename(name):\n    db.session.commit()\n"
    assert check_text(tmp_path, text) == []
    found = check_text(tmp_path, text, Options(services=("snip*.py",), tests=True))
    assert [(each.rule, each.level, each.line) for each in found] == [("TXN102", "error", 4)]
    assert "its file is one of 'services'" in found[0].message


def test_an_object_that_gets_the_session_of_a_scope_is_no_unit_of_work(tmp_path: Path) -> None:
    """An object may end the transaction of its own session, and not that of the scope around the call."""
    text = """
        from app.database import SessionLocal
        from flask_safesession import session_manager

        class Orders:
            def __init__(self, session):
                self.session = session

            def store(self, order):
                self.session.add(order)
                self.session.commit()

        def one(order):
            with {0} as session:
                Orders(session).store(order)

        def other(order):
            orders = Orders(order.session)
            with session_manager():
                orders.store(order)
    """
    scoped = check_text(tmp_path, text.format("session_manager()"))
    assert [(each.rule, each.level) for each in scoped] == [("TXN102", "error")]
    own = check_text(tmp_path, text.format("SessionLocal()"))
    assert [(each.rule, each.level) for each in own] == [("TXN102", "note")]
