"""``flask safesession doctor`` and ``pool``: what they say about a live app, and how they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select

from flask_safesession import SafeSession, session_manager
from flask_safesession.cli import safesession

from .kit import Kit, MakeKit

GOOD = {"pool_size": 2, "max_overflow": 0, "pool_pre_ping": True, "pool_recycle": 60}


def doctor(kit: Kit, *arguments: str) -> tuple[int, str]:
    """The exit code and what was printed."""
    result = run(kit.app, "doctor", *arguments)
    return result.exit_code, result.output


def run(app: Flask, *arguments: str) -> Result:
    """``flask safesession`` with *arguments*, for *app*."""
    return app.test_cli_runner().invoke(safesession, arguments)


def test_an_app_that_is_well(make_kit: MakeKit, database: Any) -> None:
    """There may be advice, and nothing has to be changed."""
    code, text = doctor(make_kit(database, engine_options=GOOD))
    assert (code, "CHANGE" in text) == (0, False), text
    assert "ok      default: " in text
    assert "ok      SQLAlchemy: 2." in text


@pytest.mark.parametrize("name", ["postgresql-psycopg", "mariadb-pymysql"])
def test_too_many_workers(make_kit: MakeKit, name: str) -> None:
    """All workers together may open more connections than the server takes."""
    code, text = doctor(make_kit(name, engine_options=GOOD), "--workers", "5000")
    assert code == 1
    assert "CHANGE  default: 5000 worker(s) x 2 connections = 10000, and the server takes " in text


def test_the_number_of_workers_from_the_environment(
    make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a host says how many there are, nobody has to."""
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    _, text = doctor(make_kit("postgresql-psycopg", engine_options=GOOD))
    assert "3 worker(s) x 2 connections = 6" in text


def test_a_pool_without_bounds(make_kit: MakeKit) -> None:
    """It may open connections until the server refuses."""
    options = {**GOOD, "max_overflow": -1}
    code, text = doctor(make_kit("postgresql-psycopg", engine_options=options))
    assert (code, "The pool has no bounds" in text) == (1, True)


@pytest.mark.parametrize("name", ["postgresql-psycopg", "mariadb-pymysql"])
def test_a_pool_that_does_not_test_its_connections(make_kit: MakeKit, name: str) -> None:
    """After a restart of the server each of them fails once."""
    code, text = doctor(make_kit(name, engine_options={**GOOD, "pool_pre_ping": False}))
    assert (code, "Set 'pool_pre_ping'." in text) == (1, True)


def test_a_pool_that_keeps_connections_longer_than_the_server(make_kit: MakeKit) -> None:
    """MariaDB closes what is idle, and the next user finds it closed."""
    options = {**GOOD, "pool_recycle": 10**9}
    code, text = doctor(make_kit("mariadb-pymysql", engine_options=options))
    assert (code, "Set 'pool_recycle' to less, and not to 1000000000." in text) == (1, True)


def test_an_engine_in_autocommit(make_kit: MakeKit, database: Any) -> None:
    """A scope on it could not roll back."""
    options = {**GOOD, "isolation_level": "AUTOCOMMIT"}
    code, text = doctor(make_kit(database, engine_options=options))
    assert (code, "Its isolation level is AUTOCOMMIT" in text) == (1, True)


def test_a_sqlite_file_that_does_not_wait(make_kit: MakeKit) -> None:
    """Two writers at a time, and one of them fails at once."""
    code, text = doctor(make_kit(engine_options={"connect_args": {"timeout": 0}}))
    assert (code, "A write fails at once" in text) == (1, True)


def test_a_sqlite_file_as_it_should_be(make_kit: MakeKit) -> None:
    """No advice is left when it was followed."""
    kit = make_kit()
    with kit.app.app_context(), kit.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
    _, text = doctor(kit)
    assert "advice  default" not in text


def test_an_engine_of_asyncio(make_kit: MakeKit) -> None:
    """Its server cannot be asked outside of an event loop, and the command says so."""
    app = Flask("async")
    app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+asyncpg://h/d"
    SafeSession(app)
    make_kit().db.__class__().init_app(app)
    result = run(app, "doctor")
    assert (result.exit_code, "needs an event loop" in result.output) == (0, True)


def test_an_unknown_dialect(sqlite_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be looked at is not passed over in silence."""
    monkeypatch.setattr(sqlite_kit.engine.dialect, "name", "other")
    assert "advice  default: 'other' is not known" in doctor(sqlite_kit)[1]


def test_a_database_that_is_down(make_kit: MakeKit) -> None:
    """It is a thing to change, and no traceback."""
    kit = make_kit("postgresql-psycopg")
    app = Flask("down")
    url = kit.engine.url.set(port=1)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    SafeSession(app)
    kit.db.__class__().init_app(app)
    result = run(app, "doctor")
    assert result.exit_code == 1
    assert "CHANGE  default: The database gives no connection: " in result.output


def test_the_address_hides_the_password(make_kit: MakeKit) -> None:
    """What is printed may end in a log."""
    app = Flask("secret")
    app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg://a:secret@127.0.0.1:1/d"
    SafeSession(app)
    make_kit().db.__class__().init_app(app)
    for command in ("doctor", "pool"):
        assert "secret@" not in run(app, command).output


@pytest.mark.parametrize("command", ["doctor", "pool"])
def test_an_app_without_the_extension(command: str) -> None:
    """The command says what is missing."""
    result = run(Flask("bare"), command)
    assert (result.exit_code, "has no SafeSession" in result.output) == (1, True)


def test_pool_shows_the_holders(kit: Kit) -> None:
    """One line for each engine, and one for each connection that is out."""
    with kit.app.app_context(), session_manager(name="import") as session:
        session.execute(select(1))
        text = run(kit.app, "pool").output
    assert "(QueuePool, at most 15, 1 out)" in text
    assert "scope 'import', a context of " in text


def test_pool_of_a_database_in_memory(make_kit: MakeKit) -> None:
    """It counts nothing, and has one connection."""
    kit = make_kit("sqlite-memory")
    text = run(kit.app, "pool").output
    assert "(StaticPool, at most 1)" in text


def test_pool_without_a_limit(make_kit: MakeKit) -> None:
    """A pool may be without bounds."""
    kit = make_kit(engine_options={"max_overflow": -1})
    text = run(kit.app, "pool").output
    assert "(QueuePool, no limit, 0 out)" in text


def test_psycopg2_and_a_line_that_is_watched(make_kit: MakeKit) -> None:
    """What can hang is psycopg 3 without a time limit of TCP's own."""
    watched = {**GOOD, "connect_args": {"tcp_user_timeout": 5000}}
    other = make_kit("postgresql-psycopg2", engine_options=GOOD)
    for kit in (other, make_kit("postgresql-psycopg", engine_options=watched)):
        assert "tcp_user_timeout" not in doctor(kit)[1]


def test_foreign_keys_of_sqlite(tmp_path: Path) -> None:
    """They are off unless somebody turns them on."""
    app = Flask("doctor")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'keys.db'}"
    SafeSession(app, SQLAlchemy(app))
    assert "Foreign keys are not enforced." in run(app, "doctor").output
