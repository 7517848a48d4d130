"""What a test of a suite costs that is rolled back, and what loading the plugin costs a suite that does not use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.databases import postgresql, server_version
from benchmarks.measure import Samples
from benchmarks.results import COMPARISON, Result, Target, at_most, compared

PLUGIN = "flask_safesession.pytest_plugin"
ROOT = Path(__file__).parents[2]
MILLISECOND = 1e-3

NAMES = {
    "test_empty": "An empty test",
    "test_unused": "A test that is rolled back and is empty",
    "test_body": "INSERT, SELECT and COMMIT, with nothing around them",
    "test_rolled_back": "The same in a test that is rolled back",
    "test_made_anew": "The same with create_all() and drop_all() for each test",
}

# Thirty tables; the kinds of tests take turns, so that noise meets them alike.
SUITE = """
import json, os, time
from collections import defaultdict

import pytest
import sqlalchemy as sa
from benchmarks.apps import dispose, safe, work

rounds = range(int(os.environ["ROUNDS"]))
every = pytest.mark.parametrize("number", rounds, ids=str)
seconds = defaultdict(list)

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    start = time.perf_counter()
    result = yield
    seconds[item.originalname].append(time.perf_counter() - start)
    return result

def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.callspec.params["number"])

def pytest_sessionfinish():
    with open("seconds.json", "w") as file:
        json.dump(seconds, file)

@pytest.fixture(scope="session")
def site():
    site = safe(os.environ["SUITE_DATABASE"])
    for number in range(1, 30):
        sa.Table(
            f"table_{number}",
            site.db.metadata,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("label", sa.String(40), index=True),
        )
    with site.app.app_context():
        site.db.create_all()
    yield site
    dispose(site)

@pytest.fixture(scope="session")
def app(site):
    return site.app

@pytest.fixture
def tables(site):
    with site.app.app_context():
        site.db.drop_all()
        site.db.create_all()
        site.db.session.add(site.entry(label="first"))
        site.db.session.commit()

def body(site):
    with site.app.app_context():
        work(site)
        site.db.session.commit()

@every
def test_empty(number):
    pass

@every
def test_unused(number, db_session):
    pass

@every
def test_body(number, site):
    body(site)

@every
def test_rolled_back(number, site, db_session):
    body(site)

@every
def test_made_anew(number, site, tables):
    body(site)
"""

LOADING = """
import sys, time
import flask, sqlalchemy.orm, pytest
pytest.main(["--version"])
before = time.process_time()
__import__(sys.argv[1])
print(time.process_time() - before)
"""


def rolled_back(rounds: int) -> Result:
    """Measure tests on PostgreSQL, run by pytest."""
    with postgresql() as url, tempfile.TemporaryDirectory() as folder:
        environ = {
            "SUITE_DATABASE": url.render_as_string(hide_password=False),
            "ROUNDS": str(rounds),
        }
        found = _suite(Path(folder), environ)
        version = server_version(url)
    samples = {name: Samples(tuple(found[test])) for test, name in NAMES.items()}
    empty, unused, body, isolated, anew = samples.values()
    faster = sum(anew.seconds) / sum(isolated.seconds)
    return Result(
        f"Tests that are rolled back, {version}",
        f"{rounds} tests of each kind in one run of pytest, set-up and clean-up included; 30 tables.",
        COMPARISON,
        [compared(name, each, isolated) for name, each in samples.items()],
        [
            _extra("An empty test that is rolled back <= 2 ms more than without", unused, empty),
            _extra("The same for one that stores something", isolated, body),
            Target(
                f"{rounds} such tests >= 10 x faster than create_all/drop_all for each",
                f"{sum(anew.seconds):.1f} s / {sum(isolated.seconds):.1f} s = {faster:.1f} x",
                faster >= 10,
            ),
        ],
    )


def loading(rounds: int) -> Result:
    """Measure what the plugin takes in a process that has Flask, SQLAlchemy and pytest already."""
    seconds = [_loading() for _ in range(rounds + 1)][1:]  # the first compiles
    samples = Samples(tuple(seconds))
    return Result(
        "Loading the pytest plugin",
        "CPU time beyond importing Flask, SQLAlchemy and pytest; a process for each round.",
        COMPARISON,
        [compared("import of the plugin", samples, samples)],
        [at_most("Loading it <= 3 ms", samples.median / MILLISECOND, 3.0, "ms")],
    )


def _extra(promise: str, samples: Samples, baseline: Samples) -> Target:
    return at_most(promise, (samples.median - baseline.median) / MILLISECOND, 2.0, "ms")


def _suite(folder: Path, environ: dict[str, str]) -> dict[str, list[float]]:
    (folder / "test_suite.py").write_text("from conftest import *\n")
    (folder / "conftest.py").write_text(SUITE)
    options = ("-qx", "--tb=short", "-p", "no:cacheprovider", "-p", PLUGIN)
    _python(("-m", "pytest", *options), folder, environ)
    seconds: dict[str, list[float]] = json.loads((folder / "seconds.json").read_text())
    return seconds


def _loading() -> float:
    as_installed = {"PYTHONDONTWRITEBYTECODE": ""}
    return float(_python(("-c", LOADING, PLUGIN), ROOT, as_installed).splitlines()[-1])


def _python(arguments: tuple[str, ...], folder: Path, environ: dict[str, str]) -> str:
    own = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environ}
    run = subprocess.run(  # noqa: S603 - programs of this module
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"{' '.join(arguments[:2])} failed:\n{run.stdout}{run.stderr}")
    return run.stdout
