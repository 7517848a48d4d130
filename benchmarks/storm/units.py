"""The workloads, once with the extension and once by hand, as they are commonly written."""

from __future__ import annotations

import json
import random
import urllib.request
from collections.abc import Callable
from typing import Any, Protocol

from flask import request
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from flask_safesession import PhaseResult, RetryPolicy, on_commit, run_in_phases, transactional

from .bank import ACCOUNTS, Job, Operation, Order, Site, move, take
from .diary import SENT, Diary
from .mischief import Mischief

__all__ = ["KINDS", "ByHand", "Safely", "Units", "add_view", "ask", "make_order"]

KINDS = ("transfer", "slot", "job", "send", "view")
TRIES = 5


def make_order(chosen: random.Random, key: str, kind: str) -> Order:
    """A transfer between two accounts, in whatever order: two of them may meet in a deadlock."""
    giver, taker = chosen.sample(range(ACCOUNTS), 2)
    return Order(key, giver, taker, chosen.randint(1, 9), kind)


class Units(Protocol):
    """The units of work; each returns when its caller may believe that it is stored."""

    def transfer(self, order: Order) -> None:
        """Move money."""

    def slot(self, key: str, name: str) -> None:
        """Take a slot."""

    def job(self, key: str) -> None:
        """Do a job in phases."""

    def send(self, order: Order) -> None:
        """Move money, and send a message about it."""


class Safely:
    """With scopes, retries, phases and hooks."""

    def __init__(self, site: Site, diary: Diary) -> None:
        self._site = site
        self._diary = diary
        again = transactional(retry=RetryPolicy(attempts=TRIES, max_elapsed=10.0))
        self.transfer: Callable[[Order], None] = again(self._transfer)
        self.slot: Callable[[str, str], None] = again(self._slot)
        self.send: Callable[[Order], None] = again(self._send)

    def _transfer(self, order: Order) -> None:
        move(self._site.session, order)

    def _slot(self, key: str, name: str) -> None:
        take(self._site.session, key, name)

    def _send(self, order: Order) -> None:
        move(self._site.session, order)
        on_commit(self._diary.note, SENT, order.key)

    def job(self, key: str) -> None:
        """A job in phases."""

        def prepare(session: Session) -> str:
            session.add(Job(key=key, status="running"))
            return key

        def record(session: Session, result: PhaseResult[int]) -> None:
            session.get_one(Job, key).status = result.status
            session.add(Operation(key=key, kind="job"))

        run_in_phases(prepare, len, record)


class ByHand:
    """With try, commit, except and rollback, and a loop around it."""

    def __init__(self, site: Site, diary: Diary) -> None:
        self._site = site
        self._diary = diary

    def _again(self, work: Callable[[Session], None]) -> None:
        session = self._site.session
        for left in reversed(range(TRIES)):
            try:
                work(session)
                session.commit()
            except OperationalError:
                session.rollback()
                if not left:
                    raise
            except Exception:
                session.rollback()
                raise
            else:
                return

    def transfer(self, order: Order) -> None:
        """A transfer."""
        self._again(lambda session: move(session, order))

    def slot(self, key: str, name: str) -> None:
        """A slot."""
        self._again(lambda session: take(session, key, name))

    def send(self, order: Order) -> None:
        """A job that is queued with the work that it is about."""

        def work(session: Session) -> None:
            move(session, order)
            self._diary.note(SENT, order.key)

        self._again(work)

    def job(self, key: str) -> None:
        """A job that keeps its session while it works."""

        def begin(session: Session) -> None:
            session.merge(Job(key=key, status="running"))

        def end(session: Session) -> None:
            session.get_one(Job, key).status = "succeeded"
            session.add(Operation(key=key, kind="job"))

        self._again(begin)
        self._again(end)


def add_view(site: Site, units: Units, mischief: Mischief) -> None:
    """Let the app take orders by HTTP."""

    @site.app.post("/orders")
    def order() -> tuple[str, int]:
        asked: Any = request.get_json()
        try:
            with mischief.around(random.Random(asked["key"])):
                units.transfer(Order(**asked))
        except IntegrityError:
            return "conflict", 409
        return "", 204


def ask(port: int, order: Order) -> None:
    """Give an order to the app on *port*.

    Raises:
        urllib.error.HTTPError: If the answer is an error.
    """
    wanted = urllib.request.Request(
        f"http://127.0.0.1:{port}/orders",
        json.dumps(order.__dict__).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(wanted, timeout=60).close()  # noqa: S310 - to ourselves
