"""Interleaved timing: all contenders run in every round, so that noise meets them alike."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

Batch = Callable[[int], object]
"""Does the measured thing as many times as it is told."""

Clock = Callable[[], float]

cpu_time: Clock = time.process_time
"""For what never waits: other processes on the machine do not count."""

wall_time: Clock = time.perf_counter
"""For what waits for a server."""

WARM_UP_ROUNDS = 10
SEED = 20


@dataclass(frozen=True)
class Contender:
    """What is timed, and what has to be open around it and is not timed."""

    run: Batch
    around: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True)
class Samples:
    """Seconds per operation, one number for each round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile, in seconds."""
        return _quartiles(self.seconds)


@dataclass(frozen=True)
class Ratio:
    """One contender against another, over the same rounds."""

    value: float
    low: float
    high: float


def interleaved(
    contenders: Mapping[str, Contender], *, rounds: int, batch: int, clock: Clock = cpu_time
) -> dict[str, Samples]:
    """Time every contender once per round and return its samples.

    The order is shuffled anew for each round, the same way in each process, so that no contender
    always runs in the wake of the same one. The garbage collector runs between the batches and
    never inside one.

    Args:
        contenders: What is compared, by name.
        rounds: Number of samples for each contender.
        batch: Operations in one sample.
        clock: Which seconds count.
    """
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with _collector_stopped():
        for order in _orders(names, WARM_UP_ROUNDS):
            for name in order:
                _timed(contenders[name], batch, clock)
        for order in _orders(names, rounds):
            for name in order:
                seconds[name].append(_timed(contenders[name], batch, clock))
    return {name: Samples(tuple(found)) for name, found in seconds.items()}


def ratio(contender: Samples, baseline: Samples) -> Ratio:
    """Return the ratio of the medians, and the quartiles of the ratios within the rounds."""
    pairs = [one / other for one, other in zip(contender.seconds, baseline.seconds, strict=True)]
    low, high = _quartiles(pairs)
    return Ratio(contender.median / baseline.median, low, high)


def _orders(names: Sequence[str], rounds: int) -> Iterator[Sequence[str]]:
    shuffler = random.Random(SEED)
    for _ in range(rounds):
        yield shuffler.sample(names, len(names))


def _timed(contender: Contender, batch: int, clock: Clock) -> float:
    with contender.around():
        # The youngest generation only: a full collection would cool the caches before each sample.
        gc.collect(0)
        start = clock()
        contender.run(batch)
        return (clock() - start) / batch


def _quartiles(numbers: Sequence[float]) -> tuple[float, float]:
    low, _, high = statistics.quantiles(numbers, n=4)
    return low, high


@contextmanager
def _collector_stopped() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        gc.collect()
