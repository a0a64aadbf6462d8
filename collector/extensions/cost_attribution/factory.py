"""How the `cost_attribution` extension is made."""

from __future__ import annotations

from typing import Any, Final

from collector.extensions.cost_attribution.config import CostAttributionConfig
from collector.pipeline.component import Component, ExtensionFactory, OverStore, Settings


def _create(settings: Settings, config: Any, store: Any, cost: Any, exporter: Any) -> Component:
    from collector.extensions.cost_attribution.extension import CostAttribution

    return CostAttribution(settings, config, store, cost, float(exporter.retention.analyses))


def _alone(settings: Settings, config: Any) -> Component:
    raise TypeError(f"{settings.id} works over a store")


FACTORY: Final = ExtensionFactory(
    type_name="cost_attribution",
    config=CostAttributionConfig,
    create=_alone,
    over_store=OverStore(exporter=lambda config: config.exporter, create=_create),
)
