"""Who uses a session: one thread, greenlet or task at a time, the first that comes, until it hands the session on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import IdentitySet

from .. import errors
from . import wording
from .ledger import Ledger, ledger_of
from .places import Place, outside
from .runners import (
    Runner,
    current_runner,
    current_thread,
    described,
    has_ended,
    here,
    is_closing,
    is_task,
    modules,
    principal,
    running_loop,
    spawned,
)

__all__ = [
    "SharingMixin",
    "Tenant",
    "admit",
    "admit_end",
    "give_away",
    "is_at_hand",
    "is_left",
    "release",
    "take",
]

_TENANT = "tenant"


class Tenant(NamedTuple):
    """Who has a session.

    Attributes:
        runner: The one that used it first.
        principal: Whom it stood in for, or itself.
        thread: The thread that it ran in.
        place: The line where it used the session first.
        lender: Who waits for it to end, and then has the session again.
        successors: The seat of the next one, empty until that has sat down.
    """

    runner: Runner
    principal: Runner
    thread: Runner
    place: Place
    lender: Tenant | None
    successors: dict[str, Tenant]


class SharingMixin(Session):
    """The methods that ask who calls and nothing else; those that ask for the owner of the transaction ask this too.

    SQLAlchemy begins with ``_autobegin_t()`` a cascade from one object to another, with ``_bulk_save_mappings()`` each
    bulk call, and with ``_identity_lookup()`` ``get()`` and the lazy load of one object.
    """

    def _autobegin_t(self, begin: bool = False) -> SessionTransaction:
        admit(self)
        return super()._autobegin_t(begin)

    def _identity_lookup(self, *args: Any, **kwargs: Any) -> Any:
        admit(self)
        return super()._identity_lookup(*args, **kwargs)

    def _bulk_save_mappings(self, *args: Any, **kwargs: Any) -> None:
        admit(self)
        super()._bulk_save_mappings(*args, **kwargs)

    def flush(self, objects: Any = None) -> None:
        admit(self)
        super().flush(objects)

    def query(self, *entities: Any, **kwargs: Any) -> Any:
        admit(self)
        return super().query(*entities, **kwargs)

    def refresh(self, *args: Any, **kwargs: Any) -> None:
        admit(self)
        super().refresh(*args, **kwargs)

    def expire(self, *args: Any, **kwargs: Any) -> None:
        admit(self)
        super().expire(*args, **kwargs)

    def expire_all(self) -> None:
        admit(self)
        super().expire_all()

    def expunge(self, instance: object) -> None:
        admit(self)
        super().expunge(instance)

    def expunge_all(self) -> None:
        admit(self)
        super().expunge_all()

    def __contains__(self, instance: object) -> bool:
        admit(self)
        return super().__contains__(instance)

    def __iter__(self) -> Iterator[object]:
        admit(self)
        return super().__iter__()

    @property
    def new(self) -> IdentitySet:
        admit(self)
        return super().new

    @property
    def dirty(self) -> IdentitySet:
        admit(self)
        return super().dirty

    @property
    def deleted(self) -> IdentitySet:
        admit(self)
        return super().deleted


def admit(session: Session, place: Place | None = None) -> None:
    """Let the one pass that has *session*; of those that come to a free one, the first gets it.

    Args:
        session: A guarded session.
        place: Where it is used; looked up if None.

    Raises:
        SessionSharedError: If another has it, and ``SAFESESSION_SHARING`` is ``"raise"``.
    """
    ledger: Ledger = session._safesession_ledger  # type: ignore[attr-defined]
    # In a plain thread that is all that the call would find, at half its price.
    is_plain = running_loop() is None and "gevent" not in modules
    me = here.runner if is_plain else current_runner()
    if ledger.runner is not me:
        _meet(session, ledger, me, place)


def admit_end(session: Session) -> None:
    """The same for a call that gives a transaction up: what one that has ended left open is anybody's."""
    ledger: Ledger = session._safesession_ledger  # type: ignore[attr-defined]
    me = current_runner()
    if ledger.runner is not me:
        tenant = _tenant(ledger)
        if tenant is not None and (has_ended(tenant.runner) or is_closing(me)):
            ledger.seat = tenant.successors
        _meet(session, ledger, me, None)


def _meet(session: Session, ledger: Ledger, me: Runner, place: Place | None) -> None:
    who = me if me is here.runner else principal(me)
    is_new = not ledger.seat and ledger.giver is None
    tenant = None if is_new else _tenant(ledger)
    if tenant is None or tenant.principal is not who:
        if not (is_new or _may_enter(session, ledger, tenant, me)):
            _refuse(session, ledger, tenant, me)
            return
        tenant = _enter(ledger, tenant, me, who, place)
    if tenant.principal is who:
        ledger.runner = me
    else:
        _refuse(session, ledger, tenant, me)  # somebody else was faster


def _tenant(ledger: Ledger) -> Tenant | None:
    """Who has the session."""
    tenant = ledger.seat.get(_TENANT)
    while tenant is not None and tenant.lender is not None and has_ended(tenant.runner):
        ledger.seat = tenant.successors
        tenant = ledger.seat.setdefault(_TENANT, tenant.lender._replace(successors={}))
    return tenant


def _may_enter(session: Session, ledger: Ledger, tenant: Tenant | None, me: Runner) -> bool:
    if tenant is None:
        return ledger.giver is not principal(me)
    if tenant.principal is principal(me) or _is_lent(tenant, me):
        return True
    is_over = me is tenant.thread or not session.in_transaction()
    return is_over and has_ended(tenant.runner)


def _is_lent(tenant: Tenant, me: Runner) -> bool:
    """Whether *tenant* is the thread that runs the event loop of *me*, and waits for it."""
    return is_task(me) and tenant.runner is current_thread()


def _enter(
    ledger: Ledger, before: Tenant | None, me: Runner, who: Runner, place: Place | None
) -> Tenant:
    """Have the session from now on, if nobody else is faster; return who has it."""
    lender = None
    if before is not None:
        lender = before if _is_lent(before, me) else None
        ledger.seat = before.successors  # of all that wait for it one gets it
    place = place or outside().place
    values: tuple[Any, ...] = (me, who, here.runner, place, lender, {})
    mine = tuple.__new__(Tenant, values)  # half the price of Tenant(…)
    return ledger.seat.setdefault(_TENANT, mine)


def _refuse(session: Any, ledger: Ledger, tenant: Tenant | None, me: Runner) -> None:
    mode = ledger.rules.sharing or session._find_rules().sharing or "raise"
    if mode != "raise" and is_task(me) and (guest := spawned()) is not None:
        ledger.guests = [*(each for each in ledger.guests if not each.dead), guest]
    if mode == "off":
        return
    caller = outside()
    user = f"{caller.place} in {described(me)}"
    if tenant is None:
        text = wording.handed_on(user)
    elif has_ended(tenant.runner):
        text = wording.left_open(user, tenant.place)
    else:
        between_tasks = is_task(me) and is_task(tenant.runner)
        text = wording.shared(
            user, described(tenant.runner), tenant.place, between_tasks=between_tasks
        )
    if mode == "raise":
        raise errors.SessionSharedError(text)
    caller.warn(text, errors.SessionSharedWarning)


def is_left(ledger: Ledger) -> bool:
    """Whether the thread that has the session has ended; one that rests waits for whichever comes next."""
    tenant = ledger.seat.get(_TENANT)
    return tenant is not None and has_ended(tenant.thread)


def release(session: Session) -> None:
    """Let the next that comes have *session*."""
    ledger = ledger_of(session)
    ledger.runner = ledger.giver = None
    ledger.seat = {}


def take(session: Session) -> bool:
    """Have *session*, whose context ends here, whoever else uses it; False if it was handed on and is still away."""
    ledger = ledger_of(session)
    if ledger.runner is current_runner():
        return True
    if ledger.giver is not None and not is_at_hand(session):
        return False
    release(session)
    return True


def give_away(session: Session) -> None:
    """Let another have *session*, the next that uses it.

    Raises:
        SessionSharedError: If it is not the caller's to give away.
    """
    admit(session)
    release(session)
    ledger_of(session).giver = principal(current_runner())


def is_at_hand(session: Session) -> bool:
    """Whether the caller may use *session*."""
    ledger = ledger_of(session)
    return _may_enter(session, ledger, _tenant(ledger), current_runner())
