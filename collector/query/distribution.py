"""`Distribution`: what buckets say about the values that were counted in them, and the quantiles of that.

A bucket says how many values lay in it, not where. Inside a bucket of an explicit histogram values are taken to
be spread evenly; inside one of an exponential histogram, whose width grows with the value, evenly in the
logarithm. Histograms with different bounds or scales add up exactly, because their buckets are kept side by side.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

# Halvings of an interval of doubles until its ends are neighbours, for any interval met in practice.
_HALVINGS: Final = 200


@dataclass(frozen=True, slots=True)
class Cell:
    """`count` values, greater than `low` and up to `high`. Equal ends: exactly there."""

    low: float
    high: float
    count: float
    exponential: bool = False

    def below(self, value: float) -> float:
        """How many of the values are at most `value`."""
        if value >= self.high:
            return self.count
        if value <= self.low:
            return 0.0
        return self.count * self._place(value)

    def at(self, share: float) -> float:
        """The value that `share` of the values are at most."""
        if share <= 0:
            return self.low
        if share >= 1:
            return self.high
        if not self.exponential:
            return self.low + share * (self.high - self.low)
        sign = 1 if self.low > 0 else -1
        low, high = math.log(abs(self.low)), math.log(abs(self.high))
        return sign * math.exp(low + share * (high - low))

    def _place(self, value: float) -> float:
        if not self.exponential:
            return (value - self.low) / (self.high - self.low)
        low, high = math.log(abs(self.low)), math.log(abs(self.high))
        return (math.log(abs(value)) - low) / (high - low)


@dataclass(slots=True)
class Distribution:
    """Counts of explicit buckets by their bounds and of exponential ones by scale and index."""

    count: int = 0
    sum: float = 0.0
    sum_known: bool = True
    min: float = math.inf
    max: float = -math.inf
    limits_known: bool = True  # whether min and max are those of everything in here
    zero: dict[float, int] = field(default_factory=dict)  # count by zero threshold
    explicit: dict[tuple[float, ...], list[int]] = field(default_factory=dict)
    exponential: dict[tuple[int, int], dict[int, int]] = field(default_factory=dict)  # by scale and sign

    def add_explicit(self, bounds: tuple[float, ...], counts: Iterable[int]) -> None:
        """Add the counts of buckets between `bounds`."""
        counts = list(counts)
        known = self.explicit.get(bounds)
        self.explicit[bounds] = (
            counts if known is None else [a + b for a, b in zip(known, counts, strict=True)]
        )

    def add_exponential(self, scale: int, sign: int, counts: Mapping[int, int]) -> None:
        """Add the counts of exponential buckets, by index, of the positive (1) or negative (-1) values."""
        known = self.exponential.setdefault((scale, sign), {})
        for index, count in counts.items():
            known[index] = known.get(index, 0) + count

    def quantile(self, quantile: float) -> float | None:
        """The value that a share `quantile` of all values is at most; None when there are no buckets."""
        cells = [cell for cell in self._cells() if cell.count > 0]
        if not cells:
            return None
        return _quantile(cells, quantile)

    def _cells(self) -> Iterator[Cell]:
        known = self.limits_known and self.min <= self.max
        low, high = (self.min, self.max) if known else (None, None)
        for bounds, counts in self.explicit.items():
            for place, count in enumerate(counts):
                begin, end = _ends(bounds, place, low, high)
                if begin is not None and end is not None:
                    yield _tightened(Cell(begin, end, count), low, high)
        for threshold, count in self.zero.items():
            yield _tightened(Cell(-threshold, threshold, count), low, high)
        for (scale, sign), indexed in self.exponential.items():
            for index, count in indexed.items():
                yield _tightened(_exponential_cell(scale, sign, index, count), low, high)


def _ends(
    bounds: tuple[float, ...], place: int, low: float | None, high: float | None
) -> tuple[float | None, float | None]:
    """The ends of bucket number `place`. The outermost are open: there the smallest and largest value help."""
    begin, end = low, high
    if place > 0:
        begin = bounds[place - 1]
    elif low is None and bounds:
        # Measurements mostly begin at 0; otherwise the bound itself is the best guess, as Prometheus'
        # histogram_quantile has it.
        begin = min(0.0, bounds[0])
    if place < len(bounds):
        end = bounds[place]
    elif high is None and bounds:
        end = bounds[-1]
    return begin, end


def _exponential_cell(scale: int, sign: int, index: int, count: int) -> Cell:
    # base^index, base = 2^(2^-scale); exact powers where the exponent is whole.
    low, high = _power(index, scale), _power(index + 1, scale)
    return Cell(low, high, count, True) if sign > 0 else Cell(-high, -low, count, True)


def _power(index: int, scale: int) -> float:
    exponent = math.ldexp(index, -scale)
    if exponent >= 1024:
        return math.inf
    return 2.0**exponent if exponent > -1074 else 0.0


def _tightened(cell: Cell, low: float | None, high: float | None) -> Cell:
    """No value lies outside of the smallest and the largest that were measured."""
    begin = cell.low if low is None else max(cell.low, low)
    end = cell.high if high is None else min(cell.high, high)
    if begin > end:  # the sender contradicts itself: believe the buckets
        begin, end = cell.low, cell.high
    exponential = cell.exponential and begin * end > 0 and math.isfinite(begin) and math.isfinite(end)
    return Cell(begin, end, cell.count, exponential)


def _quantile(cells: list[Cell], quantile: float) -> float:
    wanted = quantile * math.fsum(cell.count for cell in cells)
    edges = sorted({edge for cell in cells for edge in (cell.low, cell.high)})

    def below(value: float) -> float:
        return math.fsum(cell.below(value) for cell in cells)

    place = bisect_left(edges, wanted, key=below)
    if place == len(edges):  # rounding: all values are at most the last edge
        return edges[-1]
    high = edges[place]
    if place == 0:
        return high
    low = edges[place - 1]
    inside = [cell for cell in cells if cell.low < high and cell.high > low]
    if not inside or not math.isfinite(low) or not math.isfinite(high):
        return high if math.isfinite(high) else low
    if len(inside) == 1:
        cell = inside[0]
        share = (cell.below(low) + wanted - below(low)) / cell.count
        found = cell.at(share)
        return min(max(found, low), high)
    return _search(below, wanted, low, high)


def _search(below: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        if middle in (low, high):
            break
        if below(middle) < wanted:
            low = middle
        else:
            high = middle
    return high
