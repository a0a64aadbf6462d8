"""Options of the `cost_ledger` receiver."""

from __future__ import annotations

from dataclasses import dataclass

from collector.config.option import option
from collector.config.types import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLedgerConfig:
    """Costs that were attributed, imported or reconciled in an exporter's database, for the exporters of a pipeline."""

    exporter: str = option(doc="The exporter in whose database the costs are.", example="timescaledb")
    interval: Duration = option(Duration(60.0), doc="How often it looks for what has changed.", minimum=0.1)
