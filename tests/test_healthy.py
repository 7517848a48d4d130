"""``safe.healthy()``: whether the databases answer, told in time."""

from __future__ import annotations

import socket
import time

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_safesession import SafeSession, errors

from .kit import Kit, MakeKit


def test_a_database_that_answers_is_healthy(any_kit: Kit) -> None:
    """With every source of sessions, and without an app context where the extension knows its app."""
    assert any_kit.safe.healthy() is True


def test_in_a_context_of_the_app_it_asks_without_another_one(kit: Kit) -> None:
    """A health endpoint is a view."""
    kit.app.add_url_rule("/health", view_func=lambda: str(kit.safe.healthy()))
    assert kit.client.get("/health").text == "True"


def test_without_a_context_an_extension_of_several_apps_says_what_is_missing() -> None:
    """It cannot know which app is meant."""
    with pytest.raises(errors.NoAppError, match=r"app\.app_context\(\)"):
        SafeSession().healthy()


@pytest.mark.parametrize("name", ["sqlite-memory", "sqlite-file", "postgresql-psycopg"])
def test_a_transaction_that_is_open_goes_on(make_kit: MakeKit, name: str) -> None:
    """The probe has a connection of its own, or asks nobody: its end would roll back what shares it."""
    kit = make_kit(name)
    with kit.app.app_context(), kit.safe.session_manager() as session:
        session.add(kit.Item(name="a"))
        session.flush()
        assert kit.safe.healthy() is True
    assert kit.names() == ["a"]


def test_a_pool_whose_connections_are_all_at_work_is_not_waited_for(make_kit: MakeKit) -> None:
    """They were had from a database that answered; a probe would wait for 30 s."""
    kit = make_kit(
        "postgresql-psycopg", engine_options={"pool_size": 1, "max_overflow": 0, "pool_timeout": 30}
    )
    with kit.engine.connect():
        began = time.monotonic()
        assert kit.safe.healthy() is True
    assert time.monotonic() - began < 10


def test_a_database_that_is_silent_is_not_healthy_and_is_asked_by_one_thread() -> None:
    """However often the endpoint is called meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = Flask("silent")
        port = silent.getsockname()[1]
        url = f"postgresql+psycopg://nobody@127.0.0.1:{port}/none?connect_timeout=2"
        app.config["SQLALCHEMY_DATABASE_URI"] = url
        safe = SafeSession(app, SQLAlchemy(app))
        assert [safe.healthy(timeout=0.05) for _ in range(3)] == [False] * 3
        silent.accept()[0].close()
        silent.settimeout(0.2)
        with pytest.raises(TimeoutError):
            silent.accept()
