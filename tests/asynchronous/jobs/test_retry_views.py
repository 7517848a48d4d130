"""Asynchronous views that are tried again: each try reads the whole request, and makes its own response."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask, Response, current_app, request
from flask.views import MethodView

from flask_safesession import current_scope, transactional

from ...retry.faults import QUICK, locked, notes
from ..scopes.conftest import MakeKit
from ..scopes.kit import AsyncKit, current_session


def _fail_twice() -> int:
    scope = current_scope()
    assert scope is not None
    if scope.attempt < 3:
        raise locked()
    return scope.attempt


def test_a_view_is_tried_again(any_kit: AsyncKit) -> None:
    """Each try makes its own response."""

    @any_kit.app.post("/<name>")
    @transactional(retry=QUICK)
    async def store(name: str) -> Response:
        (await current_session()).add(any_kit.Item(name=name))
        response = current_app.make_response("stored")
        response.headers["X-Try"] = str(_fail_twice())
        return response

    answer = any_kit.client.post("/a")
    assert (answer.status_code, answer.headers.getlist("X-Try")) == (200, ["3"])
    assert any_kit.names() == ["a"]


def test_a_method_view_is_tried_again(sqlite_kit: AsyncKit) -> None:
    """So are the methods of a class."""

    class Items(MethodView):
        @transactional(retry=QUICK)
        async def post(self) -> str:
            return str(_fail_twice())

    sqlite_kit.app.add_url_rule("/", view_func=Items.as_view("items"))
    assert sqlite_kit.client.post("/").text == "3"


def test_it_is_the_scope_of_the_view_under_transactional_views(make_kit: MakeKit) -> None:
    """The setting leaves a view alone that decides for itself."""
    kit = make_kit(config={"SAFESESSION_TRANSACTIONAL_VIEWS": True})

    @kit.app.get("/")
    @transactional(retry=QUICK)
    async def view() -> str:
        return str(_fail_twice())

    assert kit.client.get("/").text == "3"


def test_the_status_still_decides(sqlite_kit: AsyncKit) -> None:
    """A try that answers with an error is over, and rolls back."""
    tries = []

    @sqlite_kit.app.get("/")
    @transactional(retry=QUICK)
    async def view() -> tuple[str, int]:
        tries.append(1)
        (await current_session()).add(sqlite_kit.Item(name="a"))
        return ("no", 409)

    assert sqlite_kit.client.get("/").status_code == 409
    assert (tries, sqlite_kit.names()) == ([1], [])


def _echo(app: Flask, read: Any) -> None:

    @app.post("/")
    @transactional(retry=QUICK)
    async def view() -> Any:
        body = read()
        _fail_twice()
        return body


@pytest.mark.parametrize(
    "read",
    [
        lambda: request.get_data(),
        lambda: request.form["a"],
        lambda: request.files["file"].read(),
        lambda: request.files["file"].stream.readline(),
    ],
)
def test_each_try_reads_the_whole_body(sqlite_kit: AsyncKit, read: Any) -> None:
    """The last one, which is stored, must not find an empty one."""
    _echo(sqlite_kit.app, read)
    sent = {"a": "text", "file": (io.BytesIO(b"text"), "name")}
    assert b"text" in sqlite_kit.client.post("/", data=sent).data


def test_files_that_were_begun_before_go_on_there(sqlite_kit: AsyncKit) -> None:
    """Each try finds them where the first one did."""

    @sqlite_kit.app.before_request
    def skip() -> None:
        request.files["file"].read(2)

    _echo(sqlite_kit.app, lambda: request.files["file"].read())
    sent = {"file": (io.BytesIO(b"text"), "name")}
    assert sqlite_kit.client.post("/", data=sent).data == b"xt"


def test_a_closed_file_says_so_itself(sqlite_kit: AsyncKit) -> None:
    """It is not read in silence as an empty one."""

    def read_and_close() -> Any:
        file = request.files["file"]
        with file.stream:
            return file.read()

    _echo(sqlite_kit.app, read_and_close)
    with pytest.raises(ValueError, match="closed file"):
        sqlite_kit.client.post("/", data={"file": (io.BytesIO(b"text"), "name")})


def test_a_body_that_can_be_read_once_is_not_tried_again(sqlite_kit: AsyncKit) -> None:
    """The second try would find nothing in ``request.stream``, and store that."""
    _echo(sqlite_kit.app, lambda: request.stream.read())
    with pytest.raises(Exception, match="locked") as caught:
        sqlite_kit.client.post("/", data=b"text", content_type="text/plain")
    assert "'request.stream', which gives it only once" in notes(caught.value)[0]


def test_another_error_has_nothing_to_do_with_that(sqlite_kit: AsyncKit) -> None:
    """What is not worth a try is raised as it is."""

    def read_and_fail() -> None:
        raise ValueError(request.stream.read())

    _echo(sqlite_kit.app, read_and_fail)
    with pytest.raises(ValueError, match="text") as caught:
        sqlite_kit.client.post("/", data=b"text", content_type="text/plain")
    assert notes(caught.value) == []


def test_a_body_that_was_read_before_is_nobodys_business(sqlite_kit: AsyncKit) -> None:
    """The tries begin after it."""

    @sqlite_kit.app.before_request
    def read() -> None:
        request.stream.read()

    _echo(sqlite_kit.app, lambda: request.stream.read())
    assert sqlite_kit.client.post("/", data=b"text", content_type="text/plain").data == b""
