"""Components that work in the database of an exporter, such as `cost_attribution`: what they need, and whether it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.pipeline.component import ExtensionFactory
from collector.service.databases import StoreExporter
from collector.storage.exporter import StoreConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.model.signal import Signal
    from collector.pipeline.component import Component, Consumer, Settings
    from collector.service.config import ComponentConfig, Config
    from collector.storage.store import Store


def create_extension(config: Config, entry: ComponentConfig, settings: Settings) -> Component:
    """Make an extension; one that works over a store gets a store of its own, that of the exporter it names."""
    component: Component
    if entry.factory.over_store is None:
        component = entry.factory.create(settings, entry.config)
        return component
    exporter, store = _store(config, entry)
    component = entry.factory.over_store.create(settings, entry.config, store, config.cost, exporter.config)
    return component


def create_receiver(
    config: Config, entry: ComponentConfig, settings: Settings, consumers: Mapping[Signal, Consumer]
) -> Component:
    """Make a receiver, in the same way."""
    component: Component
    if entry.factory.over_store is None:
        component = entry.factory.create(settings, entry.config, consumers)
        return component
    _, store = _store(config, entry)
    component = entry.factory.over_store.create(settings, entry.config, store, consumers)
    return component


def basis(config: Config, entry: ComponentConfig) -> object:
    """What a component is made of: its own options, and those of what it works over."""
    if entry.factory.over_store is None:
        return entry
    exporter = _exporter(config, entry.factory.over_store.exporter(entry.config))
    return entry, exporter, config.cost if kind_of(entry) == "extension" else None


def over_store_problems(config: Config) -> Iterator[tuple[ComponentConfig, str, str]]:
    """What is wrong with components that work over a store: which, what, and the remedy."""
    extensions = [config.extensions[name] for name in config.extensions_started if name in config.extensions]
    for entry in (*extensions, *config.receivers.values()):
        problem = None if entry.factory.over_store is None else _problem(config, entry)
        if problem is not None:
            yield entry, f"{kind_of(entry)} {str(entry.id)!r}{problem[0]}", problem[1]


def worked_in(config: Config) -> set[str]:
    """The exporters in whose databases components that run make costs, or read those that were made."""
    used = {name for pipeline in config.pipelines.values() for name in pipeline.receivers}
    entries = [
        *(config.extensions[name] for name in config.extensions_started),
        *(config.receivers[name] for name in used),
    ]
    return {
        entry.factory.over_store.exporter(entry.config)
        for entry in entries
        if entry.factory.over_store is not None
    }


def kind_of(entry: ComponentConfig) -> str:
    """`extension`, or `receiver`."""
    return "extension" if isinstance(entry.factory, ExtensionFactory) else "receiver"


def _problem(config: Config, entry: ComponentConfig) -> tuple[str, str] | None:
    wanted = entry.factory.over_store.exporter(entry.config)
    possible = [
        str(name)
        for name, other in config.exporters.items()
        if isinstance(other.config, StoreConfig) and name.type != "memory"
    ]
    if wanted not in possible:
        there = f"there is {', '.join(possible)}" if possible else "define one under exporters"
        return f": {wanted!r} is no exporter to a database that lasts", there
    if kind_of(entry) == "receiver":
        return None
    if config.cost is None:
        return " has no prices and rules", "add a section cost"
    if not config.cost.rules:
        return " has no rules", "add cost.rules"
    return None


def _store(config: Config, entry: ComponentConfig) -> tuple[ComponentConfig, Store]:
    from collector.service.check import unattended  # which reads configurations itself

    found = _exporter(config, entry.factory.over_store.exporter(entry.config))
    if found is None:
        raise ValueError(f"{entry.id} has not been checked")
    exporter = found.factory.create(unattended(found.id, "exporter", config), found.config)
    if not isinstance(exporter, StoreExporter):
        raise TypeError(f"{found.id} has the options of a store and is none")
    return found, exporter.store


def _exporter(config: Config, name: str) -> ComponentConfig | None:
    return next((entry for key, entry in config.exporters.items() if str(key) == name), None)
