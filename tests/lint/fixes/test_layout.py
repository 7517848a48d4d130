"""The new code has the layout of the old."""

from __future__ import annotations

from .rewritten import rewritten

HEAD = "from store.database import SessionLocal\n\n\ndef four(item):\n    return item\n\n\n"


def test_a_function_that_is_indented_by_tabs_stays_so() -> None:
    """In a file that is otherwise indented by spaces."""
    body = "\tdb = SessionLocal()\n\ttry:\n\t\tdb.add(item)\n\t\tdb.commit()\n\tfinally:\n\t\tdb.close()\n"
    new = rewritten(f"{HEAD}def work(item):\n{body}")
    assert new.endswith("def work(item):\n\twith session_manager() as db:\n\t\tdb.add(item)\n")
