"""What is counted of spans: invocations, durations, attributes, products of these. Serverless functions, for one.

    {memory-time: faas.max_memory * duration, requests: count}

A duration is rounded up to the granularity for each span, as providers bill it, so this cannot be done on sums.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from collector.cost.match import Attributes
from collector.cost.usage import MeteredGroup

NANO: Final = 10**9
COUNT: Final = "count"
DURATION: Final = "duration"
_TERM: Final = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A product of terms, each `count`, `duration` or an attribute."""

    terms: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Read `faas.max_memory * duration`.

        Raises:
            ValueError: with what was expected.
        """
        terms = tuple(part.strip() for part in text.split("*"))
        if not all(_TERM.fullmatch(term) for term in terms):
            raise ValueError(
                f"{text!r} is not a quantity: write it like faas.max_memory * duration, or count"
            )
        if terms.count(DURATION) > 1:
            raise ValueError(f"{text!r} has two durations")
        return cls(terms)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes it is made of."""
        return tuple(term for term in self.terms if term not in {COUNT, DURATION})


class MeteredUsage:
    """Adds up spans, one at a time, for one rule and one window."""

    def __init__(
        self, quantities: Mapping[str, Quantity], keys: tuple[str, ...], granularity_ns: int
    ) -> None:
        """Make an empty one.

        Args:
            quantities: By meter.
            keys: The attributes that make a group.
            granularity_ns: What each duration is rounded up to; 0 for not at all.
        """
        self._quantities = quantities
        self._keys = keys
        self._granularity_ns = granularity_ns
        self._sums: dict[tuple[str, ...], dict[str, int]] = {}
        self._spans: dict[tuple[str, ...], int] = {}
        self.incomplete = 0  # spans without an attribute that a quantity is made of

    def add(self, attributes: Mapping[str, object], duration_ns: int, spans: int = 1) -> None:
        """Count `spans` equal spans."""
        key = tuple(str(attributes.get(name, "")) for name in self._keys)
        sums = self._sums.setdefault(key, {})
        self._spans[key] = self._spans.get(key, 0) + spans
        if self._granularity_ns:
            duration_ns = -(-duration_ns // self._granularity_ns) * self._granularity_ns
        complete = True
        for meter, quantity in self._quantities.items():
            nano = spans * (1 if DURATION in quantity.terms else NANO)
            for term in quantity.terms:
                if term == DURATION:
                    nano *= duration_ns
                elif term != COUNT:
                    value = attributes.get(term)
                    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                        complete, nano = False, 0
                        break
                    nano *= value
            sums[meter] = sums.get(meter, 0) + nano
        self.incomplete += 0 if complete else spans

    def groups(self) -> list[MeteredGroup]:
        """Return the sums so far."""
        return [
            MeteredGroup(_attributes(self._keys, key), sums, self._spans[key])
            for key, sums in self._sums.items()
        ]


def _attributes(keys: tuple[str, ...], values: tuple[str, ...]) -> Attributes:
    return {key: value for key, value in zip(keys, values, strict=True) if value}
