"""What is not sure is left alone, and the reason says why."""

from __future__ import annotations

import inspect
import sys

import libcst as cst
import pytest

from flask_safesession.lint.fixes.changes import Change, Left
from flask_safesession.lint.fixes.files import Files, _read

from . import rewritten as projects
from .rewritten import rewritten, rewritten_by, run

HEAD = """\
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker

from store.database import SessionLocal
from store.models import Item, check

db = SQLAlchemy()
AsyncLocal = async_sessionmaker()


def log(text):
    db.session.add(Item(name=text))


def deep(text):
    return deeper(text)


def deeper(text):
    return deepest(text)


def deepest(text):
    return last(text)


def last(text):
    return text


def _remember(session, text):
    session.add(Item(name=text))
    session.rollback()

"""


def left(code: str) -> list[str]:
    """Return why places of one module are left alone; what its head ends, is said as well."""
    ends = code.splitlines().index("    session.rollback()") + 1
    return [each for each in projects.left(code) if not each.startswith(f"{ends}: TXN102: only")]


BODIES = {
    "it sets 'db.expire_on_commit', and others share the session of a scope": """\
db = SessionLocal()
db.expire_on_commit = False
db.add(Item(name=name))
db.commit()
db.close()
""",
    "what it writes is not committed": "db = SessionLocal()\ndb.add(Item())",
    "it sets 'db.autoflush', and others share": """\
db = SessionLocal()
db.autoflush, old = False, db.autoflush
db.add(Item(name=name))
db.commit()
db.close()
""",
    "what it writes is not committed on the path": """\
db = SessionLocal()
try:
    item = db.get(Item, 1)
    item.name, (old, *item.others) = name, item.others
finally:
    db.close()
""",
    "what it writes is not committed on the path that": """\
db = SessionLocal()
try:
    item = db.get(Item, 1)
    [item.name, old] = name, item.name
finally:
    db.close()
""",
    "what it writes is not committed on the path that ends": """\
db = SessionLocal()
try:
    item = db.get(Item, 1)
    for item.name in name:
        pass
finally:
    db.close()
""",
    "what it writes is not committed on": """\
db = SessionLocal()
try:
    item = db.get(Item, 1)
    with open(name) as item.file:
        pass
    if name:
        for each in name:
            for item.name in each:
                pass
finally:
    db.close()
""",
    "what it writes is not": """\
db = SessionLocal()
try:
    item = db.get(Item, 1)
    print([name for item.name in name])
finally:
    db.close()
""",
    "it leaves here with changes": """\
db = SessionLocal()
try:
    item = db.get(Item, 1)
    item.name = name
    if name == "x":
        return False
    db.commit()
finally:
    db.close()""",
    "it commits in a loop": """\
db = SessionLocal()
try:
    for each in name:
        db.add(Item(name=each))
        db.commit()
    else:
        db.flush()
finally:
    db.close()""",
    "it rolls back here and goes on": """\
db = SessionLocal()
try:
    db.add(Item(name=name))
    if name == "x":
        db.rollback()
    db.commit()
finally:
    db.close()""",
    "it closes the session with changes": """\
db = SessionLocal()
db.add(Item(name=name))
if name == "x":
    db.close()
db.commit()""",
    "'db.begin()' has no place in a scope": """\
db = SessionLocal()
with db.begin():
    db.add(Item(name=name))
db.close()""",
    "'db.commit' is given away": "db = SessionLocal()\ndb.add(Item())\ndb.commit()\nreturn db.commit",
    "'db' is given away": "db = SessionLocal()\nother = db\nother.add(Item())\ndb.commit()",
    "several statements stand on this line": "db = SessionLocal()\ndb.add(Item()); db.commit()",
    "it yields": "db = SessionLocal()\ntry:\n    yield db\nfinally:\n    db.close()",
    "a function inside uses 'db'": """\
db = SessionLocal()
try:
    def later():
        db.add(Item())
    later()
    db.commit()
finally:
    db.close()""",
    "a function inside uses 'db', and": "db = SessionLocal()\nx = lambda: db.add(Item())\ndb.commit()",
    "'db' is not a local name": "db = SessionLocal()\nglobal db\ndb.add(Item())\ndb.commit()",
    "'db' is not a local name:": "db = SessionLocal()\nglobal other\nnonlocal db\ndb.commit()",
    "the session is made with arguments": "db = SessionLocal(bind=name)\ndb.add(Item())\ndb.commit()",
    "the factory is a local name": """\
from sqlalchemy.orm import sessionmaker
make = sessionmaker(bind=name)
db = make()
db.add(Item())
db.commit()""",
    "two sessions are open at the same time": """\
one = SessionLocal()
two = SessionLocal()
try:
    one.add(Item())
    one.commit()
finally:
    one.close()
    two.close()""",
    "'send_mail()' comes after a commit": """\
db = SessionLocal()
try:
    item = Item(name=name)
    db.add(item)
    db.commit()
    send_mail(name)
    item.sent = True
    db.commit()
finally:
    db.close()""",
    "'enroll()' gets the session and is not among these files": """\
db = SessionLocal()
try:
    enroll(db, name)
    db.commit()
finally:
    db.close()""",
    "it works on 'db.session' as well": """\
own = SessionLocal()
try:
    own.add(Item())
    db.session.add(Item())
    own.commit()
finally:
    own.close()""",
    "'log()' works on 'db.session' as well": """\
own = SessionLocal()
try:
    own.add(Item())
    log(name)
    own.commit()
finally:
    own.close()""",
    "'_remember' (": """\
own = SessionLocal()
try:
    own.add(Item())
    _remember(own, name)
finally:
    own.close()""",
    "'audit.session.add()' may work on another session": """\
own = SessionLocal()
try:
    own.add(Item())
    audit.session.add(name)
    own.commit()
finally:
    own.close()""",
    "'else' uses 'db'": """\
db = SessionLocal()
try:
    db.add(Item())
except ValueError:
    db.rollback()
    return None
else:
    db.commit()
finally:
    db.close()""",
    "'db' is used after the failure": """\
db = SessionLocal()
try:
    db.add(Item())
    db.commit()
except ValueError:
    db.rollback()
    db.add(Item(name="failed"))
    db.commit()
finally:
    db.close()""",
    "'db' is used outside of the block": """\
db = SessionLocal()
try:
    db.add(Item())
    db.commit()
finally:
    db.close()
return db.get(Item, 1)""",
    "a statement of this kind is not followed": """\
db = SessionLocal()
try:
    match name:
        case "x":
            db.add(Item())
    db.commit()
finally:
    db.close()""",
    "'db' is used behind a colon": """\
db = SessionLocal()
try:
    if name: db.add(Item())
    db.commit()
finally:
    db.close()""",
    "'deep()' comes after a commit": """\
db = SessionLocal()
db.add(Item())
db.commit()
deep(name)
db.add(Item())
db.commit()""",
    "what it writes is not committed on the path that ends here": """\
db = SessionLocal()
rows = [row for row in db.query(Item)]
first, (second, third) = rows
second.rename(name)
del third.name
third.name += name
third.name: str = name
count: int
for row in rows:
    if row.name == name:
        break
    elif row.name:
        continue
    else:
        raise ValueError(name)
    raise ValueError(name)
while (size := len(rows)):
    pass
if name:
    raise ValueError(name)
rows[0] = None
counts = {}
counts[0] = 1
size += 1
size: int = 2
db.flush()
if size:
    return size""",
    "the session is async": """\
own = AsyncLocal()
own.add(Item())
own.commit()""",
    "a comment accepts it as it is": """\
db = SessionLocal()  # safesession: ignore[TXN301] the process ends
db.add(Item())
db.commit()""",
}


def _function(body: str, head: str = "def work(name):") -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{HEAD}\n{head}\n{lines}"


@pytest.mark.parametrize(("reason", "body"), [*BODIES.items()])
def test_what_is_not_sure_is_left_alone(reason: str, body: str) -> None:
    """One line for one function."""
    code = _function(body)
    found = left(code)
    assert len(found) == 1
    assert reason.rstrip(":").removesuffix(", and") in found[0]
    assert rewritten(code) == code


def test_an_async_function_is_left_alone() -> None:
    """Its session may be used by several tasks."""
    assert "the function is async" in left(_function(WORK, "async def work(name):"))[0]


WORK = """\
db = SessionLocal()
try:
    db.add(Item(name=name))
    db.commit()
finally:
    db.close()"""
CALLED = _function(WORK).replace("def work(name)", "def stored(name)")

CALLERS = {
    "calls it when it is imported or run": 'stored("x")',
    "is a task": "@celery.task\ndef job():\n    stored('x')",
    "is a command": "@click.command()\ndef command():\n    stored('x')",
    "runs in a thread": "def begin():\n    threading.Thread(target=stored).start()",
    "runs in an executor": "def begin():\n    futures.ThreadPoolExecutor().submit(lambda: stored('x'))",
    "works on 'db.session' when it calls it": "def both():\n    db.session.add(Item())\n    stored('x')",
}
IMPORTS = "import threading\nfrom concurrent import futures\n\nimport click\n"


@pytest.mark.parametrize(("reason", "caller"), CALLERS.items())
def test_a_function_is_left_alone_because_of_its_callers(reason: str, caller: str) -> None:
    """A scope needs an app context, and the transaction for itself."""
    code = f"{IMPORTS}{CALLED}\n\n{caller}\n"
    (found,) = left(code)
    assert reason in found
    assert rewritten(code) == code


@pytest.mark.parametrize(
    "caller",
    [
        "@app.cli.command()\ndef command():\n    stored('x')",
        "@click.command()\n@with_appcontext\ndef command():\n    stored('x')",
        "@celery.task\ndef job():\n    with app.app_context():\n        stored('x')",
        "@app.route('/')\ndef view():\n    stored('x')",
    ],
)
def test_a_function_with_a_context_is_rewritten(caller: str) -> None:
    """Where a caller has or pushes one."""
    assert "with session_manager() as db:" in rewritten(f"{IMPORTS}{CALLED}\n\n{caller}\n")


def test_a_project_of_another_framework_is_left_alone() -> None:
    """It has no app context."""
    assert "the project uses 'fastapi'" in left("from fastapi import Depends\n" + CALLED)[0]


def test_one_of_several_factories_is_named() -> None:
    """The scope has the sessions of the app, and nobody but its author knows which those are."""
    two = "from sqlalchemy.orm import sessionmaker\nReports = sessionmaker()\n"
    code = (
        CALLED + "\n\n" + _function(WORK).replace("SessionLocal()", "Reports()").removeprefix(HEAD)
    )
    files = {"work.py": two + code}
    assert "sessions come from 'Reports', 'SessionLocal'" in run(files).left[1].reason
    named = run(files, "SessionLocal")
    assert (named.changes, [each.reason for each in named.left[1:]]) == (
        1,
        ["'work': 'Reports' is none of the factories that '--factory' names"],
    )


def test_a_function_that_returns_a_session_of_the_factory_is_no_other_factory() -> None:
    """It is the same one by another name; where it does more than that, it is not."""
    same = 'def make_session():\n    """A session."""\n    return SessionLocal()\n\n\n'
    other = "def make_session():\n    print(1)\n    return SessionLocal()\n\n\n"
    work = _function(WORK).removeprefix(HEAD)
    by_name = work.replace("work", "again").replace("SessionLocal", "make_session")
    for names in ((), ("SessionLocal",)):
        assert run({"work.py": HEAD + same + work + by_name}, *names).changes == 2
    assert run({"work.py": HEAD + other + work + by_name}).changes == 0


def test_a_change_that_would_be_a_finding_is_not_made() -> None:
    """The checker reads what was written, and has the last word."""
    leak = _function("db = SessionLocal()\nreturn db.get(Item, name)", "def leak(name):")
    good = "\n\ndef fine(name):\n    return name\n"
    files = {"work.py": HEAD + good + "\n\ndef work(name):\n    return name\n"}

    def propose(project: Files) -> tuple[list[Change], list[Left]]:
        found = []
        for node, function in project.file("work.py").functions.items():
            bad = cst.ensure_type(cst.parse_module(leak).body[-1], cst.FunctionDef)
            new = bad.with_changes(name=node.name) if node.name.value == "work" else node
            if node.name.value in {"work", "fine"}:
                comment = cst.EmptyLine(comment=cst.Comment("# seen"))
                new = new.with_changes(leading_lines=[*node.leading_lines, comment])
                found.append(Change("work.py", 1, function, {node: new}, {"work.py": ()}))
        return ([] if b"# seen" in project.contents["work.py"] else found), []

    outcome = rewritten_by(files, propose)
    assert outcome.changes == 1
    assert outcome.contents["work.py"].count(b"# seen") == 1
    assert "the change would be TXN301 in 'work' (work.py): 'db' came from 'SessionLocal()'" in (
        outcome.left[0].reason
    )


def test_a_change_that_does_not_compile_is_not_made() -> None:
    """LibCST takes more for Python than Python does; a file that was none before may stay none."""
    new = cst.ensure_type(
        cst.parse_module("def work(name):\n    continue\n").body[0], cst.FunctionDef
    )

    def propose(project: Files) -> tuple[list[Change], list[Left]]:
        file = project.file("work.py")
        ((node, function), *_) = file.functions.items()
        change = Change("work.py", 1, function, {node: new}, {"work.py": ()})
        return ([] if b"continue" in project.contents["work.py"] else [change]), []

    good = "\n\ndef work(name):\n    return name\n"
    outcome = rewritten_by({"work.py": good}, propose)
    assert (outcome.changes, outcome.contents) == (0, {})
    assert (
        outcome.left[0].reason
        == "after the change 'work.py' would no longer be Python that compiles"
    )
    assert rewritten_by({"work.py": f"{good}\n\ndef other():\n    break\n"}, propose).changes == 1


def test_a_codemod_that_never_ends_is_ended() -> None:
    """After some rounds, whatever it proposes."""

    def propose(project: Files) -> tuple[list[Change], list[Left]]:
        ((node, function),) = project.file("work.py").functions.items()
        comment = cst.EmptyLine(comment=cst.Comment("# again"))
        new = node.with_changes(leading_lines=[*node.leading_lines, comment])
        return [Change("work.py", 1, function, {node: new}, {"work.py": ()})], []

    outcome = rewritten_by({"work.py": "\n\ndef work(name):\n    return name\n"}, propose)
    assert outcome.contents["work.py"].count(b"# again") == outcome.changes == 12


def test_what_stands_behind_a_colon_keeps_its_form() -> None:
    """If it has nothing to do with the session."""
    code = _function(WORK.replace("    db.add", "    if not name: return\n    db.add"))
    assert "        if not name: return\n        db.add(Item(name=name))\n" in rewritten(code)


def test_a_failure_behind_a_colon_is_placed_at_the_function() -> None:
    """The statement has no line of its own."""
    code = _function(WORK.replace("    db.commit", "    if not name: return\n    db.commit"))
    assert left(code) == [f"{code[: code.index('def work')].count(chr(10)) + 1}: 'work': {LEAVES}"]


LEAVES = "it leaves here with changes that it does not commit"


def test_what_is_nested_deeper_than_python_reads() -> None:
    """The file has a line, however little of Python's stack is left."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 150)
    try:
        found = _read("deep.py", b"x = " + b".".join([b"a"] * 300))
    finally:
        sys.setrecursionlimit(limit)
    assert isinstance(found, Left)
    assert found.reason == "it was not read: its expressions are nested too deeply"
