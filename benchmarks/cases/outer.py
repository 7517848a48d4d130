"""What Django's and zope's transaction scopes add to their own hand-written transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.transaction import atomic

from benchmarks.measure import Contender, Samples, interleaved
from benchmarks.neighbours import (
    ZopeSite,
    django_entry,
    django_work,
    plain_session,
    session_work,
    zope_site,
)
from benchmarks.results import COMPARISON, Result, Row, compared

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, scoped_session

DJANGO_BY_HAND = "Django, hand-written set_autocommit/commit/rollback"
DJANGO_ATOMIC = "Django transaction.atomic()"
ZOPE_BY_HAND = "SQLAlchemy scoped_session, hand-written commit/rollback/remove"
ZOPE_MANAGER = "zope.sqlalchemy transaction.manager"


def neighbours(rounds: int) -> Result:
    """Measure the outer scopes of the neighbours, each against its own hand-written form."""
    entry = django_entry()
    contenders = {
        DJANGO_BY_HAND: _django_by_hand(entry),
        DJANGO_ATOMIC: _django_atomic(entry),
        ZOPE_BY_HAND: _session_by_hand(plain_session()),
        ZOPE_MANAGER: _zope_manager(zope_site()),
    }
    samples = interleaved(contenders, rounds=rounds, batch=1)
    return Result(
        "The neighbours' outer scopes",
        "The same INSERT and SELECT on SQLite in memory, without Flask and its contexts. Each is "
        "compared with its own hand-written form, since the object layers differ.",
        COMPARISON,
        _rows(samples),
    )


def _rows(samples: dict[str, Samples]) -> list[Row]:
    pairs = (
        (DJANGO_BY_HAND, DJANGO_BY_HAND),
        (DJANGO_ATOMIC, DJANGO_BY_HAND),
        (ZOPE_BY_HAND, ZOPE_BY_HAND),
        (ZOPE_MANAGER, ZOPE_BY_HAND),
    )
    return [compared(name, samples[name], samples[baseline]) for name, baseline in pairs]


def _django_by_hand(entry: Any) -> Contender:
    def unit() -> None:
        connection.set_autocommit(False)
        try:
            django_work(entry)
            connection.commit()
        except Exception:
            connection.rollback()
            raise
        finally:
            connection.set_autocommit(True)

    return _repeated(unit)


def _django_atomic(entry: Any) -> Contender:
    def unit() -> None:
        with atomic():
            django_work(entry)

    return _repeated(unit)


def _session_by_hand(session: scoped_session[Session]) -> Contender:
    def unit() -> None:
        try:
            session_work(session)
            session.commit()
        except Exception:
            session.rollback()
            raise
        finally:
            session.remove()

    return _repeated(unit)


def _zope_manager(site: ZopeSite) -> Contender:
    def unit() -> None:
        with site.manager:
            session_work(site.session)

    return _repeated(unit)


def _repeated(unit: Any) -> Contender:
    def run(times: int) -> None:
        for _ in range(times):
            unit()

    return Contender(run)
