"""What exact splitting costs: shares per second on one core, in groups of several sizes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Final

from collector.cost.split import split
from tests.bench.figure import Figure

_SECONDS: Final = 1.0
_COST_MAX: Final = 10**24  # a million dollars in units of 1E-18
_WEIGHT_MAX: Final = 10**21  # core-seconds of a day on a thousand cores, likewise


def run() -> Iterator[Figure]:
    """A share is one subject's part of one charge."""
    for size in (3, 30, 1000, 100_000):
        yield Figure(
            name=f"cost: shares/s, {size:,} in a group",
            value=_shares_per_second(size),
            unit="/s",
            bar=200_000,
            at_least=True,
        )


def _shares_per_second(size: int) -> float:
    """In CPU time of this thread: others on the machine count less."""
    rng = random.Random(20260101)
    groups = [
        (
            rng.randrange(_COST_MAX),
            [rng.randrange(_WEIGHT_MAX) for _ in range(size)],
            [rng.randbytes(40) for _ in range(size)],
        )
        for _ in range(max(1, 10_000 // size))
    ]
    shares = 0
    began = time.thread_time()
    while (elapsed := time.thread_time() - began) < _SECONDS:
        for total, weights, keys in groups:
            split(total, weights, keys)
            shares += size
    return shares / elapsed
