"""Samples, their order and the ratios between them."""

from __future__ import annotations

import gc
from collections import Counter
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from benchmarks.measure import WARM_UP_ROUNDS, Contender, Samples, interleaved, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator


def _count(calls: Counter[str], name: str, times: int) -> None:
    calls[name] += times


def _note(order: list[str], name: str, _times: int) -> None:
    order.append(name)


def test_every_contender_runs_once_per_round() -> None:
    """Four rounds of batches of seven give four samples each, after the warm-up."""
    calls: Counter[str] = Counter()
    contenders = {name: Contender(partial(_count, calls, name)) for name in "abc"}
    samples = interleaved(contenders, rounds=4, batch=7)
    assert {name: len(found.seconds) for name, found in samples.items()} == {"a": 4, "b": 4, "c": 4}
    assert calls == dict.fromkeys("abc", (WARM_UP_ROUNDS + 4) * 7)


def test_each_contender_follows_each_other() -> None:
    """No contender always runs in the wake of the same one."""
    order: list[str] = []
    contenders = {name: Contender(partial(_note, order, name)) for name in "abc"}
    interleaved(contenders, rounds=12, batch=1)
    rounds = [order[start : start + 3] for start in range(0, len(order), 3)]
    followers = {pair for found in rounds for pair in pairwise(found)}
    assert followers == {(one, other) for one in "abc" for other in "abc" if one != other}


def test_the_surroundings_are_open_around_each_sample() -> None:
    """What a contender needs is open while it runs, and only then."""
    states: list[bool] = []
    opened = False

    @contextmanager
    def around() -> Iterator[None]:
        nonlocal opened
        opened = True
        yield
        opened = False

    interleaved({"a": Contender(lambda _: states.append(opened), around)}, rounds=2, batch=1)
    assert states == [True] * (WARM_UP_ROUNDS + 2)
    assert not opened


def test_the_collector_is_stopped_inside_and_runs_again_afterwards() -> None:
    """A failing contender does not leave the process without its garbage collector."""

    def fail(_: int) -> None:
        assert not gc.isenabled()
        raise LookupError

    with pytest.raises(LookupError):
        interleaved({"a": Contender(fail)}, rounds=2, batch=1)
    assert gc.isenabled()


def test_the_ratio_is_one_of_medians() -> None:
    """One slow round moves neither the ratio nor its quartiles' order."""
    found = ratio(Samples((2.0, 2.0, 90.0)), Samples((1.0, 1.0, 1.0)))
    assert found.value == 2.0
    assert found.low <= found.value <= found.high
