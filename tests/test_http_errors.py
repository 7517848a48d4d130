"""What a request gets that a database error ended, and which handlers come first."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from flask import Blueprint, got_request_exception
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from flask_safesession import SafeSession, classify, errors, session_manager

from .kit import Kit, MakeKit


def locked(kit: Kit, rule: str = "/", owner: Any = None) -> None:
    """Give *kit* a view that meets "database is locked", for which a new try is right."""

    def view() -> str:
        other = create_engine(kit.engine.url)
        with other.connect() as connection:
            connection.execute(text("BEGIN IMMEDIATE"))
            try:
                with session_manager(timeout=0.01) as session:
                    session.add(kit.Item(name="a"))
            finally:
                connection.rollback()
                other.dispose()
        return "stored"

    (owner or kit.app).add_url_rule(rule, view_func=view)


@pytest.fixture
def outage(sqlite_kit: Kit) -> Kit:
    """A kit whose view ``/`` cannot be answered for the moment."""
    locked(sqlite_kit)
    return sqlite_kit


def test_an_outage_is_503_and_says_when_to_come_back(outage: Kit) -> None:
    """Stock: 500, which tells a client to give up, and a load balancer that the app is broken."""
    answer = outage.client.get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "The database is not available for the moment." in answer.text
    assert "INSERT" not in answer.text


def test_a_client_of_an_api_gets_problem_details(outage: Kit) -> None:
    """RFC 9457, for a client that prefers JSON."""
    answer = outage.client.get("/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert answer.headers["Retry-After"] == "1"
    assert json.loads(answer.text) == {
        "title": "Service Unavailable",
        "status": 503,
        "detail": "The database is not available for the moment.",
    }


def test_a_json_request_is_answered_in_json(outage: Kit) -> None:
    """Clients such as curl accept anything, and tell by what they send."""
    answer = outage.client.get("/", json={}, headers={"Accept": "*/*"})
    assert answer.mimetype == "application/problem+json"


def test_a_browser_gets_a_page(outage: Kit) -> None:
    """JSON is not what it asked for."""
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert outage.client.get("/", headers={"Accept": accept}).mimetype == "text/html"


def test_whoever_watches_the_app_hears_of_it(outage: Kit, caplog: pytest.LogCaptureFixture) -> None:
    """An error that a handler answers is neither logged nor signalled by Flask: the outage would be silent."""
    heard: list[BaseException] = []

    def listen(*_: Any, exception: BaseException, **__: Any) -> None:
        heard.append(exception)

    with got_request_exception.connected_to(listen, outage.app), caplog.at_level(logging.ERROR):
        outage.client.get("/")
    assert [type(each) for each in heard] == [OperationalError]
    [record] = caplog.records
    assert record.getMessage() == "Answered 503 to GET /: lock_timeout"
    assert record.exc_info is not None


@pytest.mark.parametrize("kind", [OperationalError, SQLAlchemyError, Exception])
@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
def test_a_handler_of_the_app_wins(make_kit: MakeKit, kind: type[Exception], early: bool) -> None:
    """For the class or a base class, registered before ``init_app`` or after it."""
    kit = make_kit(safe=not early)

    @kit.app.errorhandler(kind)
    def theirs(error: Exception) -> tuple[str, int]:
        return type(error).__name__, 418

    if early:
        SafeSession(kit.app, kit.db)
    locked(kit)
    answer = kit.client.get("/")
    assert (answer.status_code, answer.text) == (418, "OperationalError")


def test_a_handler_of_the_blueprint_wins(sqlite_kit: Kit) -> None:
    """As it does over the app's own."""
    blueprint = Blueprint("shop", __name__)
    blueprint.register_error_handler(Exception, lambda _: ("theirs", 418))
    locked(sqlite_kit, "/shop", blueprint)
    sqlite_kit.app.register_blueprint(blueprint)
    assert sqlite_kit.client.get("/shop").text == "theirs"


@pytest.mark.parametrize("kind", [503, ServiceUnavailable, HTTPException])
def test_the_page_of_the_app_for_503_is_shown(outage: Kit, kind: Any) -> None:
    """The app decides how the answer looks, also to clients that prefer JSON."""
    outage.app.register_error_handler(kind, lambda error: (f"theirs {error.code}", error.code))
    answer = outage.client.get("/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.text) == (503, "theirs 503")


def test_an_asynchronous_handler_wins_too(outage: Kit) -> None:
    """Flask runs those as well."""

    async def theirs(_: Exception) -> tuple[str, int]:
        return "theirs", 418

    outage.app.register_error_handler(Exception, theirs)
    assert outage.client.get("/").status_code == 418


def duplicate(kit: Kit) -> None:
    """A view that stores the same name twice."""

    @kit.app.get("/twice")
    def twice() -> str:
        with session_manager() as session:
            session.add_all([kit.Item(name="a"), kit.Item(name="a")])
        return "stored"


def test_other_errors_are_the_bug_that_they_were(sqlite_kit: Kit) -> None:
    """``"availability"``: a duplicate nobody thought of goes to Flask's own handling, and to the test."""
    duplicate(sqlite_kit)
    sqlite_kit.app.testing = True
    with pytest.raises(SQLAlchemyError, match="UNIQUE"):
        sqlite_kit.client.get("/twice")


def test_all_errors_of_the_client_are_answered(make_kit: MakeKit) -> None:
    """``"all"``: 409 and 422 where the database refused the values."""
    kit = make_kit(config={"SAFESESSION_HTTP_ERRORS": "all"})
    duplicate(kit)
    answer = kit.client.get("/twice", headers={"Accept": "application/json"})
    assert (answer.status_code, "Retry-After" in answer.headers) == (409, False)
    assert json.loads(answer.text)["detail"] == "An entry with the same values exists already."


def test_off_leaves_everything_to_the_app(make_kit: MakeKit) -> None:
    """The app answers 500, as it did before."""
    kit = make_kit(config={"SAFESESSION_HTTP_ERRORS": "off", "PROPAGATE_EXCEPTIONS": False})
    locked(kit)
    assert kit.client.get("/").status_code == 500


def test_a_write_in_a_read_only_scope_is_a_bug_and_no_outage(sqlite_kit: Kit) -> None:
    """The server's own refusal, after a fail-over, is 503; the scope's is not."""
    kit = sqlite_kit
    kit.app.config["PROPAGATE_EXCEPTIONS"] = False

    @kit.app.get("/")
    def view() -> str:
        with session_manager(read_only=True) as session:
            session.add(kit.Item(name="a"))
        return "stored"

    assert kit.client.get("/").status_code == 500


def test_the_own_error_of_a_read_only_scope_is_a_fault_of_the_program(kit: Kit) -> None:
    """A new try would write again: not transient."""
    with kit.app.app_context(), pytest.raises(errors.ReadOnlyError) as caught:
        with session_manager(read_only=True) as session:
            session.add(kit.Item(name="a"))
    fault = classify(caught.value)
    assert (fault.category, fault.transient, fault.http_status) == ("read_only", False, 500)
