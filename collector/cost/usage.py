"""Usage: what the engine is given for one window. Plain values; whoever reads the store makes them.

Nothing here is as long as the telemetry: a series is one value per window, and spans come as groups. Spans that have to
be looked at one by one (self time, tokens) are streamed through `selftime`, `llm` and `metered`, which keep sums.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from collector.cost.match import Attributes
from collector.cost.record import CostAttributionRecord, CostSource, Period

_SERIES: Final = re.compile(r"([A-Za-z_][\w./-]*)(?:\((avg|max|min|last|rate)\))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Series:
    """A metric and how its points in a window become one value.

    `avg`, `max`, `min` and `last` are of a gauge or a non-monotonic sum (k8s.pod.memory.working_set is either,
    depending on the version of the semantic conventions); `rate` is a monotonic sum's increase per second.
    """

    metric: str
    aggregation: str

    @classmethod
    def parse(cls, text: str) -> Series:
        """Read `metric` or `metric(aggregation)`.

        Raises:
            ValueError: with what was expected.
        """
        match = _SERIES.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} is not a metric: write it like k8s.pod.cpu.time(rate), or (avg, max, min, last)"
            )
        return cls(match[1], match[2] or "avg")


@dataclass(frozen=True, slots=True)
class SeriesValue:
    """One series in one window.

    `value` is in the metric's unit (cores, bytes), averaged over the time in which the series was there, which is
    `observed_ns`: a pod that ran for a quarter of an hour has a quarter of the window. `attributes` are those of the
    resource and of the points.
    """

    attributes: Attributes
    value: Decimal
    observed_ns: int


@dataclass(frozen=True, slots=True)
class RequestGroup:
    """Spans with the same attributes, as far as a rule asks for them, and their weight together.

    `weight` is in ns for self_time, in spans for count, else in units of the attribute; not negative. With ids it is a single
    request; with `is_rest` what is left of single requests.
    """

    attributes: Attributes
    weight: int
    spans: int
    trace_id: bytes = b""
    span_id: bytes = b""
    is_rest: bool = False


@dataclass(frozen=True, slots=True)
class MeteredGroup:
    """Spans with the same attributes, and what was counted of them: meter -> base units × 10^9."""

    attributes: Attributes
    quantities: Mapping[str, int]
    spans: int


@dataclass(frozen=True, slots=True)
class TokenGroup:
    """Calls of a language model with the same attributes: meter -> tokens.

    `reported_cost` is the sum of what they say that they cost, in `currency`; None if they do not say.
    """

    attributes: Attributes
    tokens: Mapping[str, int]
    spans: int
    reported_cost: Decimal | None = None
    currency: str = ""
    source: CostSource = CostSource.PRICE_BOOK


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowUsage:
    """Everything that is known of one window; groups by the id of the rule that asked for them."""

    period: Period
    series: Mapping[Series, Sequence[SeriesValue]] = field(default_factory=dict)
    requests: Mapping[str, Sequence[RequestGroup]] = field(default_factory=dict)
    metered: Mapping[str, Sequence[MeteredGroup]] = field(default_factory=dict)
    tokens: Mapping[str, Sequence[TokenGroup]] = field(default_factory=dict)
    charges: Sequence[CostAttributionRecord] = ()  # of a bill: origins of this period
