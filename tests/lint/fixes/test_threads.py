"""Threads and executors whose jobs need the app get one from ``AppContextManager``."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_safesession.lint.fixes.files import NotSure, Reader
from flask_safesession.lint.options import Options

from .outcomes import PAIRS, after
from .requests import answer
from .rewritten import left, rewritten, run

THREADS = sorted(PAIRS.glob("threads/*_before.py"))


@pytest.mark.parametrize("before", THREADS, ids=lambda path: path.stem)
def test_a_thread_gets_the_app(before: Path) -> None:
    """To the byte, and for good: a second run has nothing to do."""
    assert rewritten(before.read_text(encoding="utf-8")) == after(before)
    assert rewritten(after(before)) == after(before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("before", THREADS, ids=lambda path: path.stem)
def test_a_job_stores_what_it_could_not_store_before(before: Path, tmp_path: Path) -> None:
    """Flask-SQLAlchemy by itself: 'Working outside of application context', and no row."""
    old = answer(before.read_text(encoding="utf-8"), "new", tmp_path, safe=False)
    new = answer(after(before), "new", tmp_path, safe=True)
    assert old.rows == ("taken",)
    assert len(new.rows) > 1
    assert new.result[0] == old.result[0] == 202  # type: ignore[index]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("name", ["bad", "taken"])
@pytest.mark.parametrize("before", THREADS, ids=lambda path: path.stem)
def test_a_job_that_fails_leaves_nothing_behind(before: Path, name: str, tmp_path: Path) -> None:
    """No connection, and nothing of its own transaction."""
    new = answer(after(before), name, tmp_path, safe=True)
    assert "bad" not in new.rows
    assert new.held == 0


HEAD = """\
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from flask import current_app, request

from app import app
from store.shop import Item, db


def store(name):
    db.session.add(Item(name=name))
    db.session.commit()


def pushed(name):
    with app.app_context():
        store(name)


def plain(name):
    return name.upper()


def asked():
    store(request.args["name"])


"""
VIEW = "@app.route('/')\ndef view(name):\n"


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("its target reads 'request.args'", "threading.Thread(target=asked).start()"),
        ("it is made with arguments that are not followed", "threading.Thread(None, target=store)"),
        ("a job of this kind has no counterpart", "threading.Timer(5, store, [name]).start()"),
        ("'given' is not seen to be made by", "given_pool.submit(store, name)"),
        (
            "'workers' is not seen",
            "workers = ProcessPoolExecutor()\n    workers.submit(store, name)",
        ),
        (
            "Hand over its key",
            "item = db.session.get(Item, 1)\n    threading.Thread(target=store, args=(item,))",
        ),
    ],
)
def test_a_hand_over_that_is_not_sure_is_left_alone(reason: str, line: str) -> None:
    """With one line that says why."""
    code = f"{HEAD}{VIEW}    {line}\n    return ''\n"
    assert any(reason.replace("'given'", "'given_pool'") in each for each in left(code))
    assert "AppContextManager" not in rewritten(code)


@pytest.mark.parametrize("target", ["pushed", "plain"])
def test_a_target_that_needs_no_context_is_not_touched(target: str) -> None:
    """It reaches nothing of the app, or brings the app itself."""
    code = (
        f"{HEAD}{VIEW}    threading.Thread(target={target}, args=(name,)).start()\n    return ''\n"
    )
    assert (rewritten(code), [each for each in left(code) if "Thread" in each]) == (code, [])


def test_the_target_keeps_its_place() -> None:
    """And its keyword, where it does not come first: each comment stays with its argument."""
    code = f"{HEAD}{VIEW}    threading.Thread(daemon=True, target=store, args=(name,)).start()\n    return ''\n"
    new = "AppContextManager().thread(daemon=True, target=store, args=(name,)).start()"
    assert new in rewritten(code)


def test_a_thread_that_starts_where_there_is_no_app_is_left_alone() -> None:
    """The app is looked up at the start."""
    code = f"{HEAD}threading.Thread(target=store, args=('x',)).start()\n"
    pool = f"{HEAD}pool = AppContextManager().executor()\nthreading.Thread(target=store, args=('x',)).start()\n"
    assert "where there is no app context" in left(code)[-1]
    assert "where there is no app context" in left(pool)[-1]


def test_an_executor_is_mended_in_the_file_that_makes_it() -> None:
    """The file that submits to it imports it, and stays as it is."""
    files = {
        "app.py": "from concurrent.futures import ThreadPoolExecutor\n\napp = None\nexecutor = ThreadPoolExecutor()\n",
        "work.py": f"from app import executor\n{HEAD}{VIEW}    executor.submit(store, name)\n    return ''\n",
    }
    outcome = run(files)
    assert list(outcome.contents) == ["app.py"]
    assert b"executor = AppContextManager().executor()" in outcome.contents["app.py"]


def test_a_function_that_the_tree_does_not_show_is_left_alone() -> None:
    """Guards against the end of the whole run, which one such function of a real project brought."""
    files = Reader(Options()).files({"a.py": b"def f(): pass\n", "b.py": b"def g(): pass\n"})
    other = next(each for each in files.analysis.functions if each.name == "g")
    with pytest.raises(NotSure, match="the definition of 'g' is not found again"):
        files.file("a.py").node(other)


def test_a_service_of_a_block_that_closes_by_itself_is_left_alone() -> None:
    """'with SessionLocal() as session' is no shape that becomes a scope, so the service keeps its commit."""
    outcome = run({"work.py": CLOSING})
    assert outcome.contents == {}
    assert "its session is none that becomes a scope" in outcome.left[0].reason


CLOSING = """from sqlalchemy.orm import sessionmaker

SessionLocal = sessionmaker()


def store(session, item):
    session.add(item)
    session.commit()


def place(item):
    with SessionLocal() as session:
        store(session, item)
"""


def test_a_thread_by_another_name_gets_the_app() -> None:
    """And the import that only the old code used is gone."""
    new = rewritten(
        "from threading import Thread as T\n\nfrom store.shop import Item, db\n\n\n"
        "def store():\n    db.session.add(Item(name='x'))\n    db.session.commit()\n\n\n"
        "def start():\n    T(target=store).start()\n\n\n"
        "def again():\n    from threading import Thread as Own\n\n    Own(target=store).start()\n"
    )
    assert "AppContextManager().thread(store).start()" in new
    assert "threading" not in new


def test_a_class_that_is_a_thread_is_left_alone() -> None:
    """Its work is in a method, whatever the constructor gets."""
    code = f"{HEAD}class Worker(threading.Thread):\n    def run(self):\n        store('x')\n\n\n"
    code += "@app.post('/x')\ndef view():\n    Worker(name='x').start()\n    return ''\n"
    assert rewritten(code) == code
    assert any("put '@AppContextManager(app)' on that" in each for each in left(code))
