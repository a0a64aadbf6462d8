"""How the `cost_ledger` receiver is made."""

from __future__ import annotations

from typing import Any, Final

from collector.model.signal import Signal
from collector.pipeline.component import Component, OverStore, ReceiverFactory, Settings
from collector.receivers.cost_ledger.config import CostLedgerConfig


def _create(settings: Settings, config: Any, store: Any, consumers: Any) -> Component:
    from collector.receivers.cost_ledger.receiver import CostLedgerReceiver

    return CostLedgerReceiver(settings, config, store, consumers[Signal.COSTS])


def _alone(settings: Settings, config: Any, consumers: Any) -> Component:
    raise TypeError(f"{settings.id} works over a store")


FACTORY: Final = ReceiverFactory(
    type_name="cost_ledger",
    config=CostLedgerConfig,
    signals=frozenset({Signal.COSTS}),
    create=_alone,
    over_store=OverStore(exporter=lambda config: config.exporter, create=_create),
)
