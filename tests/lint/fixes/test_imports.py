"""The imports of a rewritten file are added where they belong, and unused ones are gone."""

from __future__ import annotations

import pytest

from .rewritten import run

FUNCTION = """

def add(item):
    db = SessionLocal()
    try:
        db.add(item)
        db.commit()
    finally:
        db.close()
"""
CASES = {
    "nothing else": (
        "from store.database import SessionLocal\n",
        "from flask_safesession import session_manager\n",
    ),
    "docstring and future": (
        '"""Items."""\n\nfrom __future__ import annotations\n\nfrom store.database import SessionLocal\n',
        '"""Items."""\n\nfrom __future__ import annotations\n\nfrom flask_safesession import session_manager\n',
    ),
    "groups": (
        "import os\n\nimport click\nfrom sqlalchemy import text\n\nfrom store.database import SessionLocal, engine\n",
        (
            "import os\n\nimport click\nfrom flask_safesession import session_manager\nfrom sqlalchemy import text\n\n"
            "from store.database import engine\n"
        ),
    ),
    "after all others": (
        "import click\n\nfrom store.database import SessionLocal\n",
        "import click\nfrom flask_safesession import session_manager\n",
    ),
    "before all others": (
        "import os\n\nimport sqlalchemy\n\nfrom .store.database import SessionLocal\n",
        "import os\n\nfrom flask_safesession import session_manager\nimport sqlalchemy\n",
    ),
    "already there": (
        "from flask_safesession import session_manager\n\nfrom store.database import SessionLocal\n",
        "from flask_safesession import session_manager\n",
    ),
    "another name is there": (
        "from flask_safesession import on_commit, transactional\n\nfrom store.database import SessionLocal\n",
        "from flask_safesession import on_commit, session_manager, transactional\n",
    ),
    "one other name is there": (
        "from flask_safesession import transactional\n\nfrom store.database import SessionLocal\n",
        "from flask_safesession import session_manager, transactional\n",
    ),
    "in parentheses": (
        "from store.database import (\n    engine,\n    SessionLocal,\n)\n",
        "from flask_safesession import session_manager\n\nfrom store.database import (\n    engine,\n)\n",
    ),
    "with a comment": (
        "from store.database import SessionLocal  # noqa: F401 - for the shell\n",
        (
            "from flask_safesession import session_manager\n\n"
            "from store.database import SessionLocal  # noqa: F401 - for the shell\n"
        ),
    ),
    "below a comment": (
        "import os\n\n# Ours.\nfrom store.database import SessionLocal\nfrom store.models import Item\n",
        "import os\n\nfrom flask_safesession import session_manager\n\n# Ours.\nfrom store.models import Item\n",
    ),
    "relative ones": (
        "from .database import engine\nfrom store.database import SessionLocal\n",
        "from flask_safesession import session_manager\n\nfrom .database import engine\n",
    ),
    "a star": (
        "from store.models import *\nfrom store.database import SessionLocal\n",
        "from flask_safesession import session_manager\n\nfrom store.models import *\n",
    ),
    "behind a future on the same line": (
        "from __future__ import annotations; import os\nfrom store.database import SessionLocal\n",
        "from __future__ import annotations; import os\n\nfrom flask_safesession import session_manager\n",
    ),
    "a docstring and a future on one line": (
        '"""Doc"""; from __future__ import annotations\nfrom store.database import SessionLocal\n',
        '"""Doc"""; from __future__ import annotations\n\nfrom flask_safesession import session_manager\n',
    ),
    "behind a docstring on the same line": (
        '"""Doc"""; import os\nfrom store.database import SessionLocal\n',
        '"""Doc"""; import os\n\nfrom flask_safesession import session_manager\n',
    ),
    "two imports on one line": (
        "import os; import sys\nfrom store.database import SessionLocal\n",
        "import os; import sys\n\nfrom flask_safesession import session_manager\n",
    ),
    "an import and code on one line": (
        "import os; print(os.name)\nfrom store.database import SessionLocal\n",
        "from flask_safesession import session_manager\n\nimport os; print(os.name)\n",
    ),
    "code first": (
        "import os\nprint(os.name)\nfrom store.database import SessionLocal\n",
        "import os\n\nfrom flask_safesession import session_manager\n\nprint(os.name)\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=list(CASES))
def test_the_imports_are_in_order(before: str, after: str) -> None:
    """As an author would have written them."""
    new = run({"work.py": before + FUNCTION}).contents["work.py"].decode()
    assert new.partition("\n\n\ndef")[0] == after.rstrip("\n")


def test_what_another_file_imports_from_here_stays() -> None:
    """It is used, although not here."""
    before = "from store.database import SessionLocal\n" + FUNCTION
    files = {"work.py": before, "other.py": "from work import SessionLocal, add\n"}
    assert b"import SessionLocal" in run(files).contents["work.py"]


def test_an_import_of_the_function_that_only_the_old_code_used_is_gone() -> None:
    """What is still used stays, with its comments."""
    head = "\n\ndef add(item):\n    # Late: a cycle.\n    from store.database import SessionLocal, engine\n\n"
    code = head + FUNCTION.partition("add(item):\n")[2].replace("add(item)", "add(engine)")
    new = run({"work.py": code}).contents["work.py"].decode()
    assert "    # Late: a cycle.\n    from store.database import engine\n\n    with session" in new
    alone = run({"work.py": code.replace(", engine", "").replace("engine", "item")})
    new = alone.contents["work.py"].decode()
    assert new.endswith(
        "def add(item):\n    # Late: a cycle.\n\n    with session_manager() as db:\n        db.add(item)\n"
    )


TAKEN = {
    "of another package": "from app.scopes import session_manager\n",
    "a function of the file": "def session_manager():\n    pass\n",
    "a variable of the file": "session_manager = None\n",
    "a class of the file": "class session_manager:\n    pass\n",
    "a parameter": "def work(session_manager):\n    pass\n",
    "a local variable": "def work():\n    session_manager = 1\n",
    "an import of a function": "def work():\n    from app.scopes import session_manager\n",
}


@pytest.mark.parametrize("code", TAKEN.values(), ids=list(TAKEN))
def test_a_name_that_means_something_else_is_not_imported(code: str) -> None:
    """One of the two would hide the other."""
    found = run({"work.py": f"from store.database import SessionLocal\n{code}{FUNCTION}"})
    assert found.contents == {}
    assert [each.reason for each in found.left] == [
        "'add': 'session_manager' means something else in 'work.py'"
    ]


def test_an_import_of_the_function_itself_hides_nothing() -> None:
    """It is the same function."""
    code = "def work():\n    from flask_safesession import session_manager\n"
    found = run({"work.py": f"from store.database import SessionLocal\n{code}{FUNCTION}"})
    assert (found.changes, found.left) == (1, ())
