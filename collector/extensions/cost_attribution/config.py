"""Options of the `cost_attribution` extension."""

from __future__ import annotations

from dataclasses import dataclass

from collector.config.option import option
from collector.config.types import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class CostAttributionConfig:
    """Attribute costs now and then: prices and rules are the section `cost` of the same configuration."""

    exporter: str = option(
        doc="The exporter in whose database the telemetry is, and the costs shall be. The receiver `cost_ledger` passes "
        "them on to other exporters.",
        example="timescaledb",
    )
    interval: Duration = option(Duration(900.0), doc="How often it is done.", minimum=1.0)
    lookback: Duration = option(
        Duration(2 * 86_400.0),
        doc="How far back windows are computed again, for telemetry that came late.",
        minimum=60.0,
    )
    policies: bool = option(
        False,
        doc="After each turn, evaluate the policies that are kept in that database; log, count and keep what changes.",
    )
