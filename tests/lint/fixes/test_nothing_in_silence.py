"""Whatever a codemod is for is rewritten, or has a line with its reason."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from flask_safesession.lint.findings import Finding
from flask_safesession.lint.fixes.files import Reader
from flask_safesession.lint.fixes.remaining import HANDLED
from flask_safesession.lint.fixing import fix
from flask_safesession.lint.options import Options
from tests.lint.shell import ROOT

from .outcomes import PAIRS
from .rewritten import STORE, left, run

FOLDERS = sorted((ROOT / "tests/lint/corpus").iterdir())
BEFORE = sorted(PAIRS.glob("*/*_before.py"))


def _findings(contents: Mapping[str, bytes]) -> list[Finding]:
    return [each for each in Reader(Options()).findings(contents) if each.rule in HANDLED]


def _key(found: Finding) -> tuple[str, str]:
    return found.rule, found.function


def _unsaid(code: str) -> list[Finding]:
    """Return the findings that stay and of which no line speaks."""
    outcome = run({"work.py": code})
    lines = {each.line for each in outcome.left}
    words = " ".join(each.reason for each in outcome.left)
    after = {**STORE, **outcome.contents}
    after.setdefault("work.py", code.encode())
    still = {_key(each) for each in _findings(after) if each.path == "work.py"}
    found = _findings({**STORE, "work.py": code.encode()})
    return [
        each
        for each in found
        if each.path == "work.py"
        and _key(each) in still
        and each.line not in lines
        and f"'{each.function.rpartition('.')[2]}'" not in words
    ]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_each_finding_that_stays_has_a_line(folder: Path) -> None:
    """Over the whole corpus of the checker, each file as a project of its own."""
    for path in sorted(folder.glob("*.py")):
        assert _unsaid(path.read_text(encoding="utf-8")) == [], path.name


@pytest.mark.parametrize("before", BEFORE, ids=lambda path: path.stem)
def test_what_a_pair_leaves_has_a_line(before: Path) -> None:
    """Nothing but what becomes the other half of the pair goes without one."""
    assert _unsaid(before.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_each_session_that_stays_has_a_line(folder: Path) -> None:
    """Also where nothing is wrong with it; a ``with`` block alone needs no word."""
    for path in sorted(folder.glob("*.py")):
        code = path.read_text(encoding="utf-8")
        outcome = run({"work.py": code})
        new = outcome.contents.get("work.py", code.encode()).decode()
        named = {each.line for each in outcome.left}
        words = " ".join(each.reason for each in outcome.left)
        for name, made in _made_by_hand(new):
            said = f"'{name}'" in words or any(made in code.splitlines()[at - 1] for at in named)
            assert said, f"{path.name}: {made}"


def _made_by_hand(code: str) -> list[tuple[str, str]]:
    """Return the ``x = SessionLocal()`` of a module, each with the function that it stands in."""
    if "sessionmaker" not in code and "store.database" not in code:
        return []
    lines = code.splitlines()
    found: list[tuple[str, str]] = []
    for function in ast.walk(ast.parse(code)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            assigned = (each for each in function.body if isinstance(each, ast.Assign))
            made = (each for each in assigned if ast.unparse(each.value) == "SessionLocal()")
            found += [(function.name, lines[each.lineno - 1].strip()) for each in made]
    return found


HEAD = """\
from celery import shared_task
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_safesession import session_manager
from store.database import SessionLocal
from store.models import Item

app = Flask(__name__)
db = SQLAlchemy()


@shared_task
def mail(name):
    return name


"""

SHAPES = {
    "'SessionLocal()': the session is kept in 'self.db', which may outlive the function": """\
class Store:
    def __init__(self):
        self.db = SessionLocal()  # here
""",
    "'SessionLocal()': the session is kept in 'sessions', which may outlive the function": """\
def work(sessions):
    sessions["x"] = SessionLocal()  # here
""",
    "'SessionLocal()': its block stands on one line": """\
def work(): db = SessionLocal(); db.add(Item()); db.commit(); db.close()  # here
""",
    "'create': 'create' is handed on at work.py:24, and whoever calls it is not seen": """\
def create(name):
    db.session.add(Item(name=name))
    db.session.commit()  # here


def create_all(names):
    return list(map(create, names))
""",
    "'SessionLocal()': it goes to the caller, who decides how long the session lives": """\
def make():
    return SessionLocal()  # here
""",
    "'SessionLocal()': the session has no name, and its work no block": """\
def work():
    SessionLocal().execute("x")  # here
""",
    "'SessionLocal()': the session is handed on where it is made": """\
def work(store):
    store.take(SessionLocal())  # here
""",
    "'SessionLocal()': a lambda makes it, and holds no block": """\
make = lambda: SessionLocal()  # here
""",
    "'SessionLocal()': it is assigned together with others": """\
def work():
    one = two = SessionLocal()  # here
    one.close()
""",
    "'SessionLocal()': the session lives as long as the module, and no function opens and closes it": """\
session = SessionLocal()  # here
""",
    "'SessionLocal()': it is made inside of a longer expression": """\
def work(name):
    own = SessionLocal() if name else None  # here
    own.close()
""",
    "TXN302: the session lives as long as the module, and no function opens and closes it": """\
class Store:
    session = SessionLocal()  # here
""",
    "'mail.apply_async()': 'countdown' may give the commit its time": """\
def work(name):
    with session_manager() as session:
        session.add(Item(name=name))
        mail.apply_async((name,), countdown=5)  # here
""",
    "'mail.apply_async()': 'eta' may give the commit its time": """\
def work(name, then):
    with session_manager() as session:
        session.add(Item(name=name))
        mail.apply_async((name,), eta=then)  # here
""",
    "TXN503: no scope of the app is around it, after whose commit it could be sent": """\
@shared_task
def work(name):
    db.session.add(Item(name=name))
    db.session.flush()
    mail.delay(name)  # here
    db.session.commit()
""",
    "'store': nobody is seen to call it: whether a caller would commit is not known": """\
def store(name):
    db.session.add(Item(name=name))
    db.session.commit()  # here
""",
    "'view': the session that it commits is not seen to be that of the app": """\
from sqlalchemy.orm import Session

@app.route("/")
def view(session: Session):
    session.add(Item())
    session.commit()  # here
    return ""
""",
}


@pytest.mark.parametrize(("reason", "code"), SHAPES.items())
def test_each_shape_says_why_it_is_left(reason: str, code: str) -> None:
    """One line, at the place."""
    whole = HEAD + code
    (line,) = (at for at, text in enumerate(whole.splitlines(), 1) if "# here" in text)
    assert left(whole) == [f"{line}: {reason}"]


def test_a_file_that_cannot_be_read_has_a_line() -> None:
    """Its callers and sessions are not known."""
    assert left("def broken(:\n") == ["1: it was not read: invalid syntax"]


def test_a_file_that_cannot_be_rewritten_has_a_line() -> None:
    """For all of it, once."""
    assert left(
        f"{HEAD}# {'x' * 10_000}\ndef work():\n    db = SessionLocal()\n    db.close()\n"
    ) == [
        "1: line 18 is longer than 10,000 bytes",
    ]


def test_a_file_that_the_system_refuses_has_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason that the system gives."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    result = CliRunner().invoke(fix, ["."])
    assert result.exit_code == 0
    assert result.stderr == (
        "gone.py:1: left alone: it could not be read: No such file or directory\n"
        "0 changes in 0 files, 1 left alone.\n"
    )
