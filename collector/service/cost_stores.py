"""The databases in which costs, and the policies on them, are; and which of them a request means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.model.signal import Signal
from collector.service.databases import StoreExporter
from collector.service.over_store import worked_in

if TYPE_CHECKING:
    from collector.service.graph import Graph
    from collector.storage.store import Store


@dataclass(frozen=True, slots=True)
class CostStore:
    """A database that lasts, of an exporter. `costs`: whether some are sent there, or made."""

    store: Store
    keep_analyses_s: float
    costs: bool


class StoreChoiceError(Exception):
    """It cannot be said which is meant. `missing`: the one that is named, or any."""

    def __init__(self, message: str, *, missing: bool) -> None:
        super().__init__(message)
        self.missing = missing


def cost_stores(graph: Graph) -> dict[str, CostStore]:
    """Those of a graph, by the names of their exporters."""
    fed = {str(name) for name, signal in graph.senders if signal is Signal.COSTS} | worked_in(graph.config)
    return {
        str(name): CostStore(
            node.component.store, float(node.entry.config.retention.analyses), str(name) in fed
        )
        for name, node in graph.exporters.items()
        if isinstance(node.component, StoreExporter) and name.type != "memory"
    }


def choose_store(wanted: str, stores: Mapping[str, CostStore]) -> CostStore:
    """Return the one that is named; if none is, the only one with costs, else the only one.

    Raises:
        StoreChoiceError: there is no such one, or there are several.
    """
    if wanted:
        if wanted not in stores:
            known = f"there is {', '.join(sorted(stores)) or 'none'}"
            raise StoreChoiceError(
                f"{wanted!r} is no exporter to a database that lasts; {known}", missing=True
            )
        return stores[wanted]
    candidates = [name for name, known in stores.items() if known.costs] or list(stores)
    if not candidates:
        raise StoreChoiceError(
            "no exporter of a pipeline writes to a database that lasts, in which costs could be", missing=True
        )
    if len(candidates) > 1:
        raise StoreChoiceError(
            f"there are several databases, name one by ?exporter=: {', '.join(sorted(candidates))}",
            missing=False,
        )
    return stores[candidates[0]]
