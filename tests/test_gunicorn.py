"""Preloaded workers of gunicorn: forked from a master that has used the database."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from .conftest import Wanted, _parameters
from .test_forks import SERVERS
from .workers import StartWorker, database_environ

pytest.importorskip("gunicorn")

Answer = dict[str, int]


def _ask(port: str, name: str) -> Answer:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{name}", method="POST")
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - our own server
        answer: Answer = json.load(response)
    return answer


def _answers(port: str, names: Iterator[str]) -> list[Answer]:
    """40 answers at least, and as many more as it takes until two workers have given some."""
    answers: list[Answer] = []
    with ThreadPoolExecutor(8) as clients:
        while len(answers) < 40 or len({each["process"] for each in answers}) < 2:
            asked = [clients.submit(_ask, port, next(names)) for _ in range(8)]
            answers += [each.result() for each in asked]
    return answers


@pytest.mark.programs
@pytest.mark.parametrize("kind", ["sync", "gthread"])
@pytest.mark.parametrize("name", _parameters(SERVERS))
def test_preloaded_workers(name: str, kind: str, wanted: Wanted, start_worker: StartWorker) -> None:
    """No worker has a connection of the master or of another; stock workers share the one that was in the pool."""
    database = wanted.get(name)
    options = (
        "--preload",
        "--workers=3",
        "--threads=4",
        "--bind=127.0.0.1:0",
        f"--worker-class={kind}",
    )
    gunicorn = start_worker(
        "-m", "gunicorn", *options, "tests.gunicorn_app:app", environ=database_environ(database)
    )
    port = gunicorn.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+)")[1]
    answers = _answers(port, (f"row{number}" for number in count()))
    assert gunicorn.stop() == 0, gunicorn.output
    users = {(each["connection"], each["process"]) for each in answers}
    connections = {connection for connection, _ in users}
    assert len(users) == len(connections)
    assert connections.isdisjoint({each["of the master"] for each in answers})
