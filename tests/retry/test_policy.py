"""The policy: what it takes, and what it says about an error."""

from __future__ import annotations

import math
import sqlite3
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from flask_safesession import RetryPolicy, attempts, transactional
from flask_safesession._core.faults.table import CATEGORIES
from flask_safesession._core.retry import make_policy
from flask_safesession.errors import CommitOutcomeUnknownError, UnexpectedRollbackError

from .faults import locked


def test_the_default_policy() -> None:
    """Three tries, short waits, and the faults of a conflict or an outage."""
    policy = RetryPolicy()
    assert (policy.attempts, policy.base_delay, policy.max_delay, policy.max_elapsed) == (
        *(3, 0.05, 2.0, 15.0),
    )
    assert policy.categories == {
        *("serialization_failure", "deadlock", "lock_timeout", "connection_lost"),
        *("connection_refused", "server_shutdown", "too_many_connections"),
    }


@pytest.mark.parametrize(
    ("argument", "value", "sentence"),
    [
        ("attempts", 0, "Give at least 1"),
        ("base_delay", -0.1, "0 or more"),
        ("base_delay", math.nan, "0 or more"),
        ("max_delay", math.inf, "0 or more"),
        ("max_elapsed", 0, "more than 0"),
        ("max_elapsed", math.inf, "finite"),
        ("categories", {"unique"}, "no further try can mend"),
        ("categories", {"commit_unknown"}, "no further try can mend"),
        ("categories", ["dedlock"], "Did you mean 'deadlock'"),
        ("categories", ["zzz"], "which is no category. Give some of 'serialization_failure'"),
    ],
)
def test_a_value_out_of_range_is_refused(argument: str, value: Any, sentence: str) -> None:
    """A policy is always finite, and never covers what a new try cannot mend."""
    with pytest.raises(ValueError, match=sentence):
        RetryPolicy(**{argument: value})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("attempts", True),
        ("attempts", 2.0),
        ("base_delay", "1"),
        ("max_delay", False),
        ("max_elapsed", None),
        ("categories", "deadlock"),
    ],
)
def test_a_value_of_another_kind_is_refused(argument: str, value: Any) -> None:
    """The message names the argument."""
    with pytest.raises(TypeError, match=f"'{argument}' is"):
        RetryPolicy(**{argument: value})


@pytest.mark.parametrize("name", [each.name for each in CATEGORIES])
def test_a_category_is_allowed_where_a_retry_is_safe(name: str) -> None:
    """The table of the faults decides."""
    safe = next(each.retry_safe for each in CATEGORIES if each.name == name)
    try:
        RetryPolicy(categories=[name])
    except ValueError:
        assert not safe
    else:
        assert safe


@pytest.mark.parametrize(
    ("value", "tries"), [(None, None), (False, None), (True, 3), (5, 5), (RetryPolicy(4), 4)]
)
def test_the_short_forms(value: Any, tries: int | None) -> None:
    """True is the default policy, a number that of the tries, and None or False no retry."""
    policy = make_policy(value)
    assert (None if policy is None else policy.attempts) == tries


@pytest.mark.parametrize("value", ["3", 2.5, {"attempts": 3}, [3]])
def test_another_form_is_refused_when_decorating(value: Any) -> None:
    """So is what looks like a policy."""
    with pytest.raises(TypeError, match="'retry' is"):
        transactional(retry=value)
    with pytest.raises(TypeError, match="'retry' is"):
        attempts(value)


def test_a_number_of_tries_below_one_is_refused() -> None:
    """``retry=0`` might mean anything."""
    with pytest.raises(ValueError, match="'attempts' is 0"):
        transactional(retry=0)


@pytest.mark.parametrize("propagation", ["mandatory", "supports", "not_supported", "never"])
def test_a_retry_needs_a_transaction(propagation: str) -> None:
    """A function that never opens one has nothing to try again."""
    with pytest.raises(ValueError, match="opens no transaction"):
        transactional(propagation=propagation, retry=3)


def _caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def _wrapped(kind: type[Exception], orig: Exception) -> Exception:
    return kind("UPDATE item", None, orig)


@pytest.mark.parametrize(
    ("error", "covered"),
    [
        (locked(), "lock_timeout"),
        (_wrapped(OperationalError, locked()), "lock_timeout"),
        (_caused(LookupError("busy"), locked()), "lock_timeout"),
        (_caused(UnexpectedRollbackError("x"), locked()), "lock_timeout"),
        (_caused(CommitOutcomeUnknownError("x"), locked()), None),
        (_wrapped(IntegrityError, sqlite3.IntegrityError("UNIQUE constraint failed: a.b")), None),
        (sqlite3.OperationalError("no such table: a"), None),
        (sqlite3.OperationalError("interrupted"), None),
        (ValueError(), None),
        (KeyboardInterrupt(), None),
    ],
)
def test_what_the_default_covers(error: BaseException, covered: str | None) -> None:
    """The fault counts, also where the application raised its own error from it."""
    fault = RetryPolicy().covers(error)
    assert (None if fault is None else fault.category) == covered


def test_a_circle_of_causes_has_an_end() -> None:
    """Odd exceptions do not hang."""
    error = ValueError()
    assert RetryPolicy().covers(_caused(error, _caused(KeyError(), error))) is None
