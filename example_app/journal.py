"""What happened after the fact: notifications that went out, and the scopes of this process."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from flask import Flask, current_app

from flask_safesession import Scope, current_scope

KEY = "example_app.journal"
KEPT = 200


@dataclass(frozen=True)
class Notification:
    """A message to an employee. It exists only where the change was really stored."""

    recipient: str
    text: str


@dataclass
class Journal:
    """The last notifications and scopes; kept in memory, as they only serve to be looked at."""

    notifications: deque[Notification] = field(default_factory=lambda: deque(maxlen=KEPT))
    scopes: deque[Scope] = field(default_factory=lambda: deque(maxlen=KEPT))

    def notify(self, recipient: str, text: str) -> None:
        """Note a message; called as an ``on_commit`` hook, never inside a transaction."""
        self.notifications.append(Notification(recipient, text))

    def watch(self) -> None:
        """Remember the open scope, whose outcome can be read when it has ended."""
        scope = current_scope()
        if scope is not None:
            self.scopes.append(scope)


def init_app(app: Flask) -> None:
    """Give *app* an empty journal."""
    app.extensions[KEY] = Journal()


def journal() -> Journal:
    """Return the journal of the current app."""
    found = current_app.extensions[KEY]
    if not isinstance(found, Journal):
        raise TypeError(f"app.extensions[{KEY!r}] is not a Journal; leave this key to the planner.")
    return found
