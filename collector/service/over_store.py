"""Extensions that work in the database of an exporter, such as `cost_attribution`: what they need, and whether it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.service.databases import StoreExporter
from collector.storage.exporter import StoreConfig

if TYPE_CHECKING:
    from collector.model.identity import ComponentID
    from collector.pipeline.component import Component, Settings
    from collector.service.config import ComponentConfig, Config


def create_extension(config: Config, extension_id: ComponentID, settings: Settings) -> Component:
    """Make an extension; one that works over a store gets a store of its own, that of the exporter it names."""
    from collector.service.check import unattended  # which reads configurations itself

    entry = config.extensions[extension_id]
    component: Component
    if entry.factory.over_store is None:
        component = entry.factory.create(settings, entry.config)
        return component
    exporter_entry = _exporter(config, entry.factory.over_store.exporter(entry.config))
    if exporter_entry is None or config.cost is None:
        raise ValueError(f"{extension_id} has not been checked")
    exporter = exporter_entry.factory.create(
        unattended(exporter_entry.id, "exporter", config), exporter_entry.config
    )
    if not isinstance(exporter, StoreExporter):
        raise TypeError(f"{exporter_entry.id} has the options of a store and is none")
    component = entry.factory.over_store.create(
        settings, entry.config, exporter.store, config.cost, exporter_entry.config
    )
    return component


def basis(config: Config, extension_id: ComponentID) -> object:
    """What an extension is made of besides its own options. When that is not the same, neither is the extension."""
    entry = config.extensions[extension_id]
    if entry.factory.over_store is None:
        return None
    return _exporter(config, entry.factory.over_store.exporter(entry.config)), config.cost


def over_store_problem(config: Config, extension_id: ComponentID) -> tuple[str, str] | None:
    """Return what is wrong with an extension that works over a store, and the remedy; None if nothing is."""
    entry = config.extensions[extension_id]
    if entry.factory.over_store is None:
        return None
    wanted = entry.factory.over_store.exporter(entry.config)
    possible = [
        str(name)
        for name, other in config.exporters.items()
        if isinstance(other.config, StoreConfig) and name.type != "memory"
    ]
    if wanted not in possible:
        there = f"there is {', '.join(possible)}" if possible else "define one under exporters"
        return f"extension {str(extension_id)!r}: {wanted!r} is no exporter to a database that lasts", there
    if config.cost is None:
        return f"extension {str(extension_id)!r} has no prices and rules", "add a section cost"
    if not config.cost.rules:
        return f"extension {str(extension_id)!r} has no rules", "add cost.rules"
    return None


def _exporter(config: Config, name: str) -> ComponentConfig | None:
    return next((entry for key, entry in config.exporters.items() if str(key) == name), None)
