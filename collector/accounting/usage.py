"""`UsageReader`: what is stored of one window, as the engine is given it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collector.accounting.series import SeriesReader
from collector.accounting.spans import SpanReader
from collector.cost.config import CostConfig
from collector.cost.needs import needs
from collector.cost.record import CostAttributionRecord, Period
from collector.cost.usage import WindowUsage
from collector.query.reader import Reader


@dataclass(frozen=True, slots=True)
class Oddity:
    """Spans that a rule could not read as they are."""

    rule_id: str
    what: str
    spans: int


class UsageReader:
    """Reads one window after the other, and remembers series and resources between them."""

    def __init__(self, reader: Reader, config: CostConfig) -> None:
        self._needs = needs(config)
        self._series = SeriesReader(reader)
        self._spans = SpanReader(reader, config, self._needs)

    def read(
        self, period: Period, charges: Sequence[CostAttributionRecord] = ()
    ) -> tuple[WindowUsage, tuple[Oddity, ...]]:
        """Return what the engine needs of a window; `charges` are those of a bill in it.

        Raises:
            TooManyGroupsError: of a rule that groups by something of which there are too many.
            QueryError, RetryableError: of the store.
        """
        spans = self._spans.read(period)
        usage = WindowUsage(
            period=period,
            series={series: self._series.read(series, period) for series in self._needs.series},
            requests=spans.requests,
            metered=spans.metered,
            tokens=spans.tokens,
            charges=tuple(charges),
        )
        oddities = (Oddity(rule, what, count) for (rule, what), count in sorted(spans.oddities.items()))
        return usage, tuple(oddities)
