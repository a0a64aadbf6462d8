"""How many points become one value: the names of the aggregations and what they mean."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

_PERCENTILE: Final = re.compile(r"p(\d{1,3}(?:\.\d{1,4})?)")


class Over(enum.Enum):
    """What an aggregation does, but for the percentile it may be of."""

    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"
    FIRST = "first"
    LAST = "last"
    RATE = "rate"  # increase per second
    INCREASE = "increase"  # how much a counter went up, resets respected
    PERCENTILE = "p50"


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One aggregation. `millionths`: the quantile, 950 000 for p95; integers, so that places are exact."""

    over: Over
    millionths: int = 0

    @classmethod
    def parse(cls, text: str) -> Aggregation:
        """Read `avg`, `min`, `max`, `sum`, `count`, `first`, `last`, `rate`, `increase`, `p50`, `p99.9`.

        Raises:
            ValueError: with the names there are.
        """
        if match := _PERCENTILE.fullmatch(text):
            whole, _, decimals = match[1].partition(".")
            # p99.9 is 0.999: the percent's decimals are two places further down.
            millionths = int(whole) * 10_000 + int(decimals.ljust(4, "0"))
            if millionths <= 1_000_000:
                return cls(Over.PERCENTILE, millionths)
        elif text in _NAMED:
            return cls(Over(text))
        names = ", ".join(sorted(_NAMED))
        raise ValueError(
            f"{text!r} is not an aggregation: expected {names}, or a percentile like p50 or p99.9"
        )

    @property
    def quantile(self) -> float:
        """The percentile as a number from 0 to 1."""
        return self.millionths / 1_000_000


_NAMED: Final = frozenset(over.value for over in Over) - {Over.PERCENTILE.value}
