"""A unit of work that may be tried again: what each try begins with, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from . import errors
from ._core import wording
from ._core.binding import refuse_statements
from ._core.guard import entered_by_hand
from ._core.ledger import ledger_of
from ._core.leftovers import give_back, is_idle, uncommitted
from ._core.notes import add_note
from ._core.options import Propagation, ScopeOptions
from ._core.places import Place
from ._core.retry import RetryPolicy, TriedScope, Tries
from ._core.scope import Home
from ._core.sharing import is_at_hand
from ._jobs.containers import copy_containers
from ._unit import Unit
from ._views import RequestBody

__all__ = ["TriedUnit", "call_tried", "check_retried", "is_inside"]

R = TypeVar("R")

_SPENT = (
    "Nothing was tried again: the body of the request was read from 'request.stream', which gives it only once. "
    "Call 'request.get_data()', which keeps it, or read it before."
)
_OWNING = (Propagation.REQUIRED, Propagation.REQUIRES_NEW, Propagation.NESTED)


def check_retried(options: ScopeOptions) -> None:
    """Refuse a retry where there would be no transaction to try again.

    Raises:
        ValueError: If the propagation never opens one of its own.
    """
    if options.propagation not in _OWNING:
        raise ValueError(
            f"'retry' was given together with 'propagation=\"{options.propagation.value}\"', which opens no "
            "transaction that could be tried again. Give 'retry' to the function that opens it."
        )


class TriedUnit:
    """A unit of work that may be tried again, in the context *unit*.

    Args:
        unit: The context.
        policy: When it is tried again.
        options: What its scopes are.
        place: Where it was asked for.
        home: Where its scopes are opened: *unit*, or the asyncio task that runs this.
        sleep: What waits between two tries; None for :func:`time.sleep`.

    Raises:
        TransactionActiveError: If the context holds changes that nobody committed.
    """

    def __init__(
        self,
        unit: Unit,
        policy: RetryPolicy,
        options: ScopeOptions,
        place: Place,
        *,
        home: Home | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._unit = unit
        self._home: Home = unit if home is None else home
        self._policy = policy
        self._options = options
        self._place = place
        _begin_clean(self._sessions(), options.name or place.function, place)
        # What the context has loaded before, such as its user: it is there in each try.
        self._known = list(self._home.session())
        self._body = RequestBody()
        self._tries = Tries(policy, self._end_session, sleep)
        self._scope: TriedScope | None = None

    @classmethod
    def in_task(
        cls, unit: Unit, policy: RetryPolicy, options: ScopeOptions, place: Place
    ) -> TriedUnit:
        """The same for the asyncio task that calls this where it may wait."""
        from ._async.homes import home_of_task
        from ._async.waiting import pause

        return cls(unit, policy, options, place, home=home_of_task(unit, place), sleep=pause)

    def open(self, *_: object) -> TriedScope:
        """Begin the next try."""
        self._scope = None
        number = self._tries.number
        if number > 1:
            known = [each for each in self._known if inspect(each).detached]
            session: Any = self._home.session()
            if known and not session.in_transaction():
                session.safesession_begin()  # it may not begin by itself
            session.add_all(known)
        self._scope = TriedScope(self._home, self._options, self._place, number)
        return self._scope

    def again(self, error: BaseException) -> bool:
        """Whether another try follows after *error* has left the scope, for which it has waited."""
        if self._scope is None or not self._scope.is_undone:
            return False
        if not self._body.is_spent:
            return self._tries.again(error)
        if self._policy.covers(error):
            add_note(error, _SPENT)
        return False

    def _end_session(self, error: BaseException | None) -> None:
        """Hold nothing during the wait that the failed try has used; the next one has a session of its own."""
        self._body.rewind()
        ended = self._home.swap(None)
        self._home.dismiss(ended, error)
        refuse_statements(ended, wording.session_ended)
        self._unit.give_back([each for each in self._sessions() if each.in_transaction()], error)

    def _sessions(self) -> list[Session]:
        """Those of the unit of work, and those of its context that no other task uses."""
        home = self._home
        others = [
            each for each in self._unit.sessions.values() if home is self._unit or is_at_hand(each)
        ]
        return list(dict.fromkeys([home.session(), *home.sessions.values(), *others]))


def call_tried(
    tried: TriedUnit, call: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> R:
    """What *call* returns for its arguments, whose lists, dicts and sets are copied for each try."""
    given = (*args, *kwargs.values())
    while True:
        own = copy_containers(given)
        try:
            return call(*own[: len(args)], **dict(zip(kwargs, own[len(args) :], strict=True)))
        except BaseException as error:
            if not tried.again(error):
                raise


def is_inside(unit: Unit) -> bool:
    """Whether a transaction of *unit* is open around, suspended ones included: it is that one that is tried again."""
    home = unit.home()
    return home.scope is not None or bool(home.suspended)


def _begin_clean(sessions: list[Session], name: str, place: Place) -> None:
    """Give back what earlier code of the context has only read from; refuse to go on from what it has changed."""
    for session in sessions:
        if not session.in_transaction():
            continue
        if not is_idle(session) or _is_entered(session):
            raise _not_clean(session, name, place)
        give_back(session)


def _is_entered(session: Session) -> bool:
    root = ledger_of(session).root
    return root is not None and entered_by_hand(root)


def _not_clean(session: Session, name: str, place: Place) -> errors.TransactionActiveError:
    report = uncommitted(session)
    found = (
        "a transaction that is still open"
        if report is None
        else f"changes that nobody committed: {report.what}"
    )
    return errors.TransactionActiveError(
        f"'{name}' ({place.where}) is to be tried again when it fails, and begins in a context that holds {found}. "
        "A second try would come without them. Commit them or roll them back before, or move them into it."
    )
