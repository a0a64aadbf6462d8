"""What is different between two configurations, and what a reload makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from collector.service.config import used_exporters
from collector.service.over_store import basis

if TYPE_CHECKING:
    from collector.model.identity import ComponentID
    from collector.service.config import Config


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: of what, which way (`added`, `removed`, `changed`), and what becomes of it."""

    what: str
    way: str
    effect: str

    def __str__(self) -> str:
        return f"{self.what} {self.way}: {self.effect}"


def changes(before: Config, after: Config) -> list[Change]:
    """List the differences that matter: components that no pipeline names do not."""
    return [
        *_components("extension", _started(before), _started(after), _EXTENSION),
        *_components("exporter", _exporters(before), _exporters(after), _EXPORTER),
        *_components("processor", _processors(before), _processors(after), _PROCESSOR),
        *_components("receiver", _receivers(before), _receivers(after), _RECEIVER),
        *_pipelines(before, after),
        *_service(before, after),
    ]


_EXTENSION = {
    "added": "it starts",
    "removed": "it stops",
    "changed": "a new one replaces it; queues in the same directory keep 'fsync' and 'segment_size' until a restart",
}
_EXPORTER = {
    "added": "it starts",
    "removed": "it stops when its queues are empty; after service.shutdown_timeout what is on disk stays there",
    "changed": "a new one takes over its queues, and all that waits in them",
}
_PROCESSOR = {"added": "it starts", "removed": "it stops", "changed": "a new one replaces it"}
_RECEIVER = {
    "added": "it starts to listen",
    "removed": "it stops listening; requests that run are answered",
    "changed": "a new one listens before it stops; on a port that stays no connection is refused",
}

Entries = Mapping["ComponentID", object]


def _started(config: Config) -> Entries:
    return {name: basis(config, config.extensions[name]) for name in config.extensions_started}


def _exporters(config: Config) -> Entries:
    return {name: config.exporters[name] for name in used_exporters(config)}


def _processors(config: Config) -> Entries:
    used = dict.fromkeys(name for pipeline in config.pipelines.values() for name in pipeline.processors)
    return {name: config.processors[name] for name in used}


def _receivers(config: Config) -> Entries:
    used = dict.fromkeys(name for pipeline in config.pipelines.values() for name in pipeline.receivers)
    return {name: basis(config, config.receivers[name]) for name in used}


def _components(kind: str, before: Entries, after: Entries, effects: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            way = "removed"
        elif name not in before:
            way = "added"
        elif before[name] != after[name]:
            way = "changed"
        else:
            continue
        yield Change(f"{kind} {name}", way, effects[way])


def _pipelines(before: Config, after: Config) -> Iterator[Change]:
    for name in dict.fromkeys([*before.pipelines, *after.pipelines]):
        what = f"pipeline {name}"
        if name not in after.pipelines:
            yield Change(what, "removed", "requests for it are refused if no other pipeline takes them")
        elif name not in before.pipelines:
            yield Change(what, "added", "it takes what arrives from now on")
        elif before.pipelines[name] != after.pipelines[name]:
            yield Change(what, "changed", "each request goes the whole of the old or of the new way")


def _service(before: Config, after: Config) -> Iterator[Change]:
    for field in fields(before.service):
        if field.name in ("pipelines", "extensions"):
            continue  # looked at already
        old: Any = getattr(before.service, field.name)
        new: Any = getattr(after.service, field.name)
        if old != new:
            yield Change(f"service.{field.name}", "changed", "it takes effect at once")
