"""Messages that are sent after the COMMIT."""

from __future__ import annotations

import logging

import pytest

from flask_safesession import session_manager
from flask_safesession.contrib._messages import send_on_commit
from flask_safesession.errors import NoTransactionError

from ..kit import Kit, MakeKit


def _never() -> None:
    raise AssertionError


def _refuse() -> None:
    raise ConnectionError("no broker")


def test_a_message_is_sent_after_the_commit(kit: Kit) -> None:
    """When it goes out, other connections can see the row."""
    seen: list[list[str]] = []
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="tea"))
        send_on_commit("the message", lambda: seen.append(kit.names()), _never, "send()")
    assert seen == [["tea"]]


def test_a_message_of_a_scope_that_rolls_back_is_not_sent(sqlite_kit: Kit) -> None:
    """What is not stored is not announced."""
    sent: list[str] = []
    with sqlite_kit.app.app_context(), pytest.raises(KeyError), session_manager():
        send_on_commit("the message", lambda: sent.append("sent"), _never, "send()")
        raise KeyError
    assert sent == []


def test_outside_of_a_transaction(sqlite_kit: Kit) -> None:
    """It would never be sent, and the error names it."""
    with (
        sqlite_kit.app.app_context(),
        pytest.raises(
            NoTransactionError,
            match=r"^The message was to be .* send it at once with 'send\(\)'",
        ),
    ):
        send_on_commit("the message", _refuse, _never, "send()")


def test_a_broker_that_is_down(make_kit: MakeKit, caplog: pytest.LogCaptureFixture) -> None:
    """The commit stands, and the log names the message."""
    kit = make_kit(options={"hook_errors": "log"})
    with (
        caplog.at_level(logging.ERROR),
        kit.app.app_context(),
        session_manager() as session,
    ):
        session.add(kit.Item(name="tea"))
        send_on_commit("the message", _refuse, _never, "send()")
    assert (kit.names(), caplog.messages) == (
        ["tea"],
        ["The hook 'the message' failed after the transaction had ended."],
    )


def test_a_broker_that_is_down_while_hooks_raise(sqlite_kit: Kit) -> None:
    """The error of the client says which message it was, and that the transaction stands."""
    with (
        sqlite_kit.app.app_context(),
        pytest.raises(ConnectionError) as caught,
        session_manager(),
    ):
        send_on_commit("the message", _refuse, _never, "send()")
    assert vars(caught.value)["__notes__"] == [
        "The hook 'the message' failed; the transaction is committed."
    ]
