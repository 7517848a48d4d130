"""When a unit of work is tried again: the policy, the decision, and the wait between two tries (by tenacity)."""

from __future__ import annotations

import difflib
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .driver_codes import first_fault
from .faults import Fault, classify
from .faults.phase import driver_error
from .faults.table import CATEGORIES
from .notes import add_note
from .options import ScopeOptions
from .outcome import Outcome
from .owner import OwnedScope
from .places import Place
from .scope import Home
from .wording import sentence

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying

__all__ = ["Retry", "RetryPolicy", "TriedScope", "Tries", "make_policy"]

_DEFAULT = frozenset(
    {
        *("serialization_failure", "deadlock", "lock_timeout"),
        *("connection_lost", "connection_refused", "server_shutdown", "too_many_connections"),
    }
)
_ALLOWED = [each.name for each in CATEGORIES if each.retry_safe]

BeforeWait = Callable[[BaseException | None], object]
Sleep = Callable[[float], None]


@dataclass(frozen=True)
class RetryPolicy:
    """How often, how long and after which faults a unit of work is tried again.

    Before try *n* + 1 it waits a random time between 0 and ``base_delay * 2 ** (n - 1)`` seconds, at most
    *max_delay* ("full jitter"), so that those that met once do not meet again.

    Args:
        attempts: The most tries, the first one included.
        base_delay: The longest wait before the second try, in seconds.
        max_delay: The longest wait before any try, in seconds.
        max_elapsed: Seconds since the start of the first try after which no other one begins.
        categories: The faults that are worth another try: names of :doc:`/reference/faults` that are safe to retry.

    Raises:
        ValueError: If a number is out of range, or a category unknown or not safe to retry.
        TypeError: If an argument is of the wrong kind.

    .. versionadded:: 0.1
    """

    attempts: int = 3
    base_delay: float = 0.05
    max_delay: float = 2.0
    max_elapsed: float = 15.0
    categories: Collection[str] = _DEFAULT

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int):
            raise TypeError(f"'attempts' is {self.attempts!r}. Give a whole number of tries.")
        if self.attempts < 1:
            raise ValueError(
                f"'attempts' is {self.attempts!r}. Give at least 1: the first try counts."
            )
        _check_seconds("base_delay", self.base_delay, least="0 or more")
        _check_seconds("max_delay", self.max_delay, least="0 or more")
        _check_seconds("max_elapsed", self.max_elapsed, least="more than 0")
        object.__setattr__(self, "categories", _checked_categories(self.categories))
        _load()

    def covers(self, error: BaseException) -> Fault | None:
        """What *error* means, if it is worth another try."""
        if not isinstance(error, Exception):
            return None
        each: BaseException | None = error
        seen: set[int] = set()
        while each is not None and id(each) not in seen:
            seen.add(id(each))
            fault = classify(each)
            if fault.category != "unknown":
                return fault if fault.retry_safe and self._names(each, fault) else None
            each = each.__cause__  # an error of the application "from" the one of the database
        return None

    def _names(self, error: BaseException, fault: Fault) -> bool:
        """A statement in a transaction that was aborted already has its first error's category too."""
        first = first_fault(driver_error(error))
        return fault.category in self.categories or (
            first is not None and first.category in self.categories
        )


Retry = RetryPolicy | int | None
"""What the ``retry`` of :func:`transactional` may be: a policy, a number of tries, True for the default, or None."""


def make_policy(value: Retry) -> RetryPolicy | None:
    """The policy that *value* asks for; None for no second try.

    Raises:
        ValueError: If a number of tries is less than 1.
        TypeError: If it is anything else.
    """
    if isinstance(value, RetryPolicy):
        return value
    if value is None or isinstance(value, bool):
        return RetryPolicy() if value else None
    if isinstance(value, int):
        return RetryPolicy(attempts=value)
    raise TypeError(
        f"'retry' is {value!r}. Give a 'RetryPolicy', a number of tries, True for the default policy, or None."
    )


def _check_seconds(name: str, value: float, least: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"'{name}' is {value!r}. Give a number of seconds.")
    if not (0 <= value < math.inf) or (value == 0 and least != "0 or more"):
        raise ValueError(f"'{name}' is {value!r}. Give a finite number of seconds, {least}.")


def _checked_categories(value: Collection[str]) -> frozenset[str]:
    if isinstance(value, str):
        raise TypeError(f"'categories' is {value!r}. Give a collection, such as {{{value!r}}}.")
    names = frozenset(value)
    for name in sorted(names.difference(_ALLOWED), key=str):
        raise ValueError(_not_allowed(name))
    return names


def _not_allowed(name: str) -> str:
    choices = ", ".join(map(repr, _ALLOWED))
    if any(each.name == name for each in CATEGORIES):
        return (
            f"'categories' holds {name!r}, which no further try can mend. Give some of {choices}."
        )
    close = difflib.get_close_matches(str(name), _ALLOWED, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"'categories' holds {name!r}, which is no category. {hint}Give some of {choices}."


class TriedScope(OwnedScope):
    """The scope of one try."""

    __slots__ = ("_attempt",)

    def __init__(self, home: Home, options: ScopeOptions, place: Place, attempt: int) -> None:
        self._attempt = attempt
        super().__init__(home, options, place)

    @property
    def attempt(self) -> int:
        return self._attempt

    @property
    def is_undone(self) -> bool:
        """Whether nothing of it is stored, for certain."""
        return self.outcome == Outcome.ROLLED_BACK.value


class Tries:
    """The tries of one unit of work; each but the first comes after one that failed, and a wait.

    Args:
        policy: How often, and after which faults.
        before_wait: Is called with the error of a try that another one follows.
        sleep: What waits; None for :func:`time.sleep`.

    Attributes:
        number: The number of the current try, from 1.
    """

    def __init__(
        self, policy: RetryPolicy, before_wait: BeforeWait, sleep: Sleep | None = None
    ) -> None:
        self.number = 1
        self._policy = policy
        self._before_wait = before_wait
        self._sleep = sleep
        self._started = time.monotonic()
        self._notes: list[str] = []

    def again(self, error: BaseException) -> bool:
        """Whether there is another try after *error*, for which it has waited; else *error* gets a note of each try."""
        fault = self._policy.covers(error)
        if fault is not None:
            self._notes.append(self._note(error, fault))
            if self._goes_on(error):
                self.number += 1
                return True
        elif self.number > 1:
            self._notes.append(self._note(error, None))
        for note in self._notes:
            add_note(error, note)
        return False

    def _goes_on(self, error: BaseException) -> bool:
        """Let tenacity decide, and wait."""
        if self.number == 1:
            self._steps = iter(_retrying(self._policy, self._before_wait, self._sleep))
            self._state = next(self._steps).retry_state
            self._state.start_time = self._started
        self._state.set_exception((type(error), error, error.__traceback__))
        goes_on = next(self._steps, None) is not None
        self._state.outcome = None  # it refers to the error, whose frames refer to this object
        return goes_on

    def _note(self, error: BaseException, fault: Fault | None) -> str:
        code = f" ({fault.code})" if fault is not None and fault.code else ""
        what = "" if fault is None else f", {fault.category}{code}"
        return (
            f"Try {self.number} of {self._policy.attempts} failed {time.monotonic() - self._started:.3f} s after the "
            f"start{what}: {type(error).__name__}: {sentence(error)}"
        )


def _load() -> None:
    """Import tenacity with the first policy: an app in which nothing is tried again has no use for it.

    Not with the first failure: where that import is cut off, by a time limit or Ctrl-C, Python has a half of it, and no
    unit of work would be tried again until the process ends.
    """
    import tenacity  # noqa: F401


def _retrying(policy: RetryPolicy, before_wait: BeforeWait, sleep: Sleep | None) -> Retrying:
    import tenacity

    def before_sleep(state: RetryCallState) -> None:
        before_wait(state.outcome.exception() if state.outcome else None)

    return tenacity.Retrying(
        sleep=sleep or tenacity.nap.sleep,
        stop=tenacity.stop_any(
            tenacity.stop_after_attempt(policy.attempts),
            tenacity.stop_before_delay(policy.max_elapsed),
        ),
        before_sleep=before_sleep,
        wait=tenacity.wait_random_exponential(multiplier=policy.base_delay, max=policy.max_delay),
        retry_error_callback=lambda _: None,  # instead of raising an error of its own at the end
    )
