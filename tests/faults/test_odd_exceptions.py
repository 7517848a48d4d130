"""Whatever it is given, ``classify()`` answers."""

from __future__ import annotations

import itertools
import random
import sqlite3
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import psycopg.errors
import pymysql
import pytest
from sqlalchemy import exc
from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.orm import exc as orm_exc

from flask_safesession import Fault, classify
from flask_safesession._core.faults.table import CATEGORIES
from flask_safesession.errors import (
    PartialCommitError,
    SafeSessionError,
    UnexpectedRollbackError,
)

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup

NAMES = {each.name for each in CATEGORIES}
BUSY = sqlite3.OperationalError("database is locked")

OWN: dict[type[Exception], str] = {
    exc.ArgumentError: "programming",
    exc.CompileError: "programming",
    exc.DisconnectionError: "connection_lost",
    exc.InvalidRequestError: "programming",
    exc.MultipleResultsFound: "programming",
    exc.NoResultFound: "programming",
    exc.PendingRollbackError: "transaction_aborted",
    exc.ResourceClosedError: "programming",
    exc.TimeoutError: "pool_timeout",
    exc.UnboundExecutionError: "programming",
    orm_exc.DetachedInstanceError: "programming",
    orm_exc.FlushError: "programming",
    orm_exc.StaleDataError: "stale_data",
    SQLAlchemyError: "unknown",
}


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_an_error_of_sqlalchemy(kind: type[Exception]) -> None:
    """It has no code, and its class is what it is."""
    assert classify(kind("x")).category == OWN[kind]


def test_a_subclass_means_what_its_base_means() -> None:
    """Of SQLAlchemy's errors, and of the drivers'."""

    class OwnError(InvalidRequestError):
        pass

    class DuplicateError(psycopg.errors.UniqueViolation):
        pass

    assert (classify(OwnError("x")).category, classify(DuplicateError("x")).category) == (
        "programming",
        "unique",
    )


def test_a_partial_commit_is_not_tried_again() -> None:
    """Its cause may be a deadlock, but a part is stored."""
    error = PartialCommitError("x", stored=["default"], not_stored=["second"])
    error.__cause__ = pymysql.OperationalError(1213, "Deadlock found")
    assert classify(error) == Fault("commit_unknown")


def test_a_group_means_what_its_members_mean() -> None:
    """Where they agree; else nobody could answer for all of them."""
    locked = ExceptionGroup("x", [BUSY, ExceptionGroup("y", [BUSY])])
    mixed = ExceptionGroup("x", [BUSY, ValueError("x")])
    interrupted = BaseExceptionGroup("x", [KeyboardInterrupt()])
    found = [classify(each).category for each in (locked, mixed, interrupted)]
    assert found == ["lock_timeout", "unknown", "unknown"]


class OddError(Exception):
    """Nothing can be read from it."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> NoReturn:
        raise RuntimeError("eq")

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> NoReturn:
        raise RuntimeError("str")


class OddDriverError(pymysql.OperationalError):
    """A driver's, and its arguments cannot be read."""

    @property
    def args(self) -> Any:  # type: ignore[override]
        raise KeyError("args")


class OddOwnError(SafeSessionError):
    """Ours, and its cause cannot be read."""

    @property
    def __cause__(self) -> NoReturn:  # type: ignore[override]
        raise RuntimeError("cause")


class LyingError(Exception):
    """It says to be of another class."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("class")


def wrapped(orig: Any) -> DBAPIError:
    """SQLAlchemy's error, as if it had been raised from *orig*."""
    error = DBAPIError("SELECT 1", (), ValueError("x"))
    error.orig = orig
    return error


ODD: list[Callable[[], BaseException]] = [
    OddError,
    OddDriverError,
    OddOwnError,
    LyingError,
    lambda: wrapped(OddError()),
    lambda: wrapped(LyingError()),
    lambda: wrapped(None),
    lambda: pymysql.OperationalError(),
    lambda: pymysql.OperationalError(None, None),
    lambda: pymysql.OperationalError(10**30, "x"),
    lambda: pymysql.OperationalError([], {}),
    lambda: sqlite3.OperationalError(b"\xff", object()),
    lambda: psycopg.errors.lookup("40001")(object()),  # type: ignore[arg-type]
    lambda: GeneratorExit(),
    lambda: SystemExit(3),
]


@pytest.mark.parametrize("make", ODD)
def test_an_odd_exception(make: Callable[[], BaseException]) -> None:
    """An error handler that fails hides the error."""
    assert classify(make()).category in NAMES


def test_what_is_no_exception_at_all() -> None:
    """A handler may be called with None."""
    assert classify(None) == Fault("unknown")  # type: ignore[arg-type]
    assert classify("x") == Fault("unknown")  # type: ignore[arg-type]


def test_a_cycle_of_causes() -> None:
    """Python allows it to be built, also through a group and through a driver's error."""
    one, two = UnexpectedRollbackError("one"), UnexpectedRollbackError("two")
    one.__cause__, two.__context__ = two, one
    assert classify(one) == Fault("unknown")
    driver = psycopg.OperationalError("x")
    driver.__cause__ = driver
    assert classify(driver).category == "connection_lost"
    group = ExceptionGroup("x", [one])
    two.__cause__ = group
    assert classify(group) == Fault("unknown")


@pytest.mark.parametrize("seed", range(5))
def test_any_combination_of_them(seed: int) -> None:
    """A thousand chains, wrapped in each other at random."""
    pick = random.Random(seed)  # noqa: S311 - a test is to be repeated
    for _ in range(200):
        errors = [pick.choice(ODD)() for _ in range(4)]
        errors += [SafeSessionError("x"), wrapped(pick.choice(errors))]
        for one, two in itertools.pairwise(pick.sample(errors, len(errors))):
            for name in pick.sample(["__cause__", "__context__", "orig"], 2):
                try:
                    setattr(one, name, two)
                except Exception:  # noqa: BLE001, S112 - not each of them lets it
                    continue
        for each in [*errors, BaseExceptionGroup("x", errors)]:
            assert classify(each).category in NAMES
