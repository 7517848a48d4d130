"""Greenlets: many on few connections, and some that are interrupted while they wait for the server."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from .conftest import Wanted
from .greenlets import GREENLETS
from .workers import StartWorker, database_environ

DRIVERS = [
    pytest.param("postgresql-psycopg", marks=pytest.mark.postgresql),
    pytest.param("postgresql-psycopg2", marks=pytest.mark.postgresql),
    pytest.param("mariadb-pymysql", marks=pytest.mark.mariadb),
]

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run_on(wanted: Wanted, start_worker: StartWorker) -> Run:
    """Run a scenario in an interpreter that gevent has patched before anything else; return what it printed."""

    def start(database: str, *arguments: str) -> dict[str, Any]:
        environ = database_environ(wanted.get(database))
        program = ("-m", "gevent.monkey", "--module", "tests.greenlets")
        worker = start_worker(*program, *arguments, environ=environ)
        found: dict[str, Any] = json.loads(worker.wait_for(r"^\{.*\}$", timeout=50).group())
        assert worker.wait() == 0
        return found

    return start


@pytest.fixture(params=DRIVERS)
def run(request: pytest.FixtureRequest, run_on: Run) -> Run:
    """The same on each database and driver that gevent can switch away from."""
    return partial(run_on, request.param)


def test_many_greenlets(run: Run) -> None:
    """Two hundred finish on a pool of five, several at a time, and leave no connection out."""
    found = run("many")
    assert (found["stored"], found["errors"], found["checkedout"]) == (GREENLETS, [], 0)
    assert found["peak"] == 5


@pytest.mark.parametrize("how", ["kill", "timeout"])
def test_an_interrupted_statement(run: Run, how: str) -> None:
    """A greenlet that is killed or timed out rolls back, and its connection is not used again.

    The reply to its statement is still to come: the next user of the connection would read it as the answer to its own.
    """
    found = run("interrupted", how, "statement")
    assert found["error"] == {"kill": "GreenletExit", "timeout": "Timeout"}[how]
    assert (found["outcome"], found["hooks"]) == ("rolled_back", ["on_rollback"])
    assert (found["left"], found["answer"], found["fresh"]) == (0, 42, True)
    assert (found["names"], found["checkedout"]) == ([], 0)


@pytest.mark.parametrize("how", ["kill", "timeout"])
def test_an_interrupted_commit(run: Run, how: str) -> None:
    """The outcome is unknown, here it is stored; nothing is sent after the COMMIT, whose reply is still to come."""
    found = run("interrupted", how, "commit")
    assert found["error"] == {"kill": "GreenletExit", "timeout": "Timeout"}[how]
    assert (found["outcome"], found["hooks"]) == ("unknown", ["on_unknown"])
    assert "while the COMMIT of 'work'" in found["notes"][0]
    assert (found["left"], found["answer"], found["fresh"]) == (0, 42, True)
    assert (found["names"], found["checkedout"]) == (["interrupted"], 0)


@pytest.mark.mariadb
def test_an_interrupted_clean_up(run_on: Run) -> None:
    """The same while a scope takes its time limit off the connection, after its block has failed."""
    found = run_on("mariadb-pymysql", "interrupted", "kill", "undo")
    assert (found["error"], found["outcome"], found["hooks"]) == (
        "GreenletExit",
        "rolled_back",
        ["on_rollback"],
    )
    assert (found["left"], found["answer"], found["fresh"], found["names"]) == (0, 42, True, [])


def test_streams(run: Run) -> None:
    """Each body keeps its session, whichever greenlet asks for the next chunk."""
    found = run("streams")
    assert (found["sessions"], found["checkedout"]) == (3, 0)


@pytest.mark.postgresql
def test_a_session_of_another_greenlet(run_on: Run) -> None:
    """It is refused, with both named, until it is handed on."""
    found = run_on("postgresql-psycopg", "shared")
    assert "in greenlet 'Greenlet-" in found["refusal"]
    assert "used the session that thread 'MainThread' got at 'shared'" in found["refusal"]
    assert found["checkedout"] == 0


@pytest.mark.postgresql
def test_a_loop_of_another_greenlet(run_on: Run) -> None:
    """Its task is not taken for the user of a session."""
    assert run_on("postgresql-psycopg", "loop")["work"] == "running=True"
