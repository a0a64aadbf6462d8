"""The file as a whole: sections, pipelines, and what only shows when they are looked at together.

A component's own options are in its `…Config`; those of the service in `service.settings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from collector.components import instead
from collector.config.decode import InvalidValue, decode
from collector.config.diagnostics import ConfigError, Place, Problem, did_you_mean, suggest
from collector.config.encode import encode
from collector.config.load import Source
from collector.config.tree import Entry, List, Map, Node, Scalar
from collector.cost.config import CostConfig
from collector.model.identity import ComponentID
from collector.model.signal import Signal
from collector.pipeline.component import (
    ExporterFactory,
    ExtensionFactory,
    Factories,
    ProcessorFactory,
    ReceiverFactory,
)
from collector.pipeline.sender_config import Ack
from collector.service.batch_limits import batch_limits
from collector.service.guarantee import ack_problems, storage_problem
from collector.service.over_store import kind_of, over_store_problems
from collector.service.settings import ServiceConfig

Factory = ReceiverFactory | ProcessorFactory | ExporterFactory | ExtensionFactory

_SECTIONS: Final = {
    "receivers": "receiver",
    "processors": "processor",
    "exporters": "exporter",
    "extensions": "extension",
}
_PARTS: Final = ("receivers", "processors", "exporters")


@dataclass(frozen=True, slots=True, order=True)
class PipelineID:
    """`signal` or `signal/name`."""

    signal_name: str
    name: str = ""

    @property
    def signal(self) -> Signal:
        """What flows through it."""
        return Signal(self.signal_name)

    def __str__(self) -> str:
        return f"{self.signal_name}/{self.name}" if self.name else self.signal_name


@dataclass(frozen=True, slots=True)
class ComponentConfig:
    """A component as configured: `config` is an instance of `factory.config`."""

    id: ComponentID
    factory: Any  # the Factory of its section
    config: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """One signal's way from receivers through processors to exporters."""

    signal: Signal
    receivers: tuple[ComponentID, ...]
    processors: tuple[ComponentID, ...]
    exporters: tuple[ComponentID, ...]
    ack: Ack | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration without an error. Components that no pipeline names are here too; they are not built."""

    receivers: Mapping[ComponentID, ComponentConfig]
    processors: Mapping[ComponentID, ComponentConfig]
    exporters: Mapping[ComponentID, ComponentConfig]
    extensions: Mapping[ComponentID, ComponentConfig]
    extensions_started: tuple[ComponentID, ...]
    pipelines: Mapping[PipelineID, PipelineConfig]
    service: ServiceConfig
    cost: CostConfig | None = None  # price book and rules, if there is a section cost
    warnings: tuple[Problem, ...] = ()
    names: tuple[str, ...] = ()  # of the files it was read from


def load_config(source: Source, factories: Factories) -> Config:
    """Turn a loaded source into a configuration.

    Raises:
        ConfigError: with everything that is wrong, in the source, in any component and between them.
    """
    if source.root is None:
        raise ConfigError(source.problems)
    reader = _Reader(factories, list(source.problems))
    config = reader.read(source.root, source.names)
    if config is None or any(problem.severity == "error" for problem in reader.problems):
        raise ConfigError(reader.problems)
    return config


@dataclass(frozen=True, slots=True)
class _Defined:
    """A key in a section. `config` is None where the body has an error."""

    id: ComponentID
    place: Place
    factory: Any
    config: Any


class _Reader:
    """Reads the sections, then the service, then looks at both."""

    def __init__(self, factories: Factories, problems: list[Problem]) -> None:
        self.problems = problems
        self.defined: dict[str, dict[str, _Defined | None]] = {}
        self.used: set[tuple[str, str]] = set()
        self.pipeline_places: dict[PipelineID, Place] = {}
        self.factories: dict[str, Mapping[str, Factory]] = {
            "receivers": factories.receivers,
            "processors": factories.processors,
            "exporters": factories.exporters,
            "extensions": factories.extensions,
        }

    def error(self, message: str, place: Place, label: str = "", *notes: str) -> None:
        """Note an error."""
        self.problems.append(Problem(message=message, place=place, label=label, notes=notes))

    def warning(self, message: str, place: Place, label: str = "") -> None:
        """Note a warning."""
        self.problems.append(Problem(message=message, place=place, label=label, severity="warning"))

    def read(self, root: Map, names: tuple[str, ...]) -> Config | None:
        """Read everything."""
        self.top_level(root)
        for section, kind in _SECTIONS.items():
            self.defined[section] = dict(self.section(root.entries.get(section), section, kind))
        entry = root.entries.get("service")
        body = entry.value if entry else None
        place = entry.key if entry else root.place
        service = decode(body, ServiceConfig, path="service", place=place, problems=self.problems)
        cost = self.cost(root.entries.get("cost"))
        acks: dict[str, Ack | None] = {}
        if not isinstance(service, InvalidValue):
            acks = {key: pipeline.ack for key, pipeline in service.pipelines.items()}
        pipelines = dict(self.pipelines(body, place, acks))
        extensions = _child(body, "extensions")
        started = tuple(self.references(extensions, "extensions", "service.extensions"))
        self.unused()
        if isinstance(service, InvalidValue):
            return None
        config = Config(
            receivers=self.components("receivers"),
            processors=self.components("processors"),
            exporters=self.components("exporters"),
            extensions=self.components("extensions"),
            extensions_started=tuple(reference.id for reference, _ in started),
            pipelines=pipelines,
            service=service,
            cost=cost,
            warnings=tuple(problem for problem in self.problems if problem.severity == "warning"),
            names=names,
        )
        for conflict in batch_limits(config).conflicts:
            self.error(str(conflict), self.pipeline_places[conflict.second], conflict.remedy)
        self.guarantees(config)
        for component, what, remedy in over_store_problems(config):
            defined = self.defined[f"{kind_of(component)}s"].get(str(component.id))
            if defined is not None:
                self.error(what, defined.place, remedy)
        return config

    def cost(self, entry: Entry | None) -> CostConfig | None:
        """Read the section cost."""
        if entry is None:
            return None
        config = decode(entry.value, CostConfig, path="cost", place=entry.key, problems=self.problems)
        return None if isinstance(config, InvalidValue) else config

    def guarantees(self, config: Config) -> None:
        """Check that queues are where they are said to be, and pipelines can promise what they shall."""
        for exporter_id in config.exporters:
            defined = self.defined["exporters"].get(str(exporter_id))
            problem = storage_problem(config, exporter_id)
            if problem is not None and defined is not None:
                self.error(problem[0], defined.place, problem[1])
        for pipeline_id, what, remedy in ack_problems(config):
            self.error(what, self.pipeline_places[pipeline_id], remedy)

    def top_level(self, root: Map) -> None:
        """Look for keys that are no section."""
        known = (*_SECTIONS, "cost", "service")
        for key, entry in root.entries.items():
            if key == "connectors":
                if not _is_empty(entry.value):
                    self.error("unknown section 'connectors'", entry.key, instead("connector", "") or "")
            elif key in ("pipelines", "telemetry", "admin", "shutdown_timeout"):
                self.error(f"unknown section {key!r}", entry.key, "it belongs under service")
            elif key not in known:
                accepts = f"a configuration has the sections: {', '.join(known)}"
                self.error(f"unknown section {key!r}", entry.key, did_you_mean(key, known), accepts)

    def section(self, entry: Entry | None, section: str, kind: str) -> Iterator[tuple[str, _Defined | None]]:
        """Yield what a section defines, by its key; None for a key that has an error of its own."""
        if entry is None or _is_empty(entry.value):
            return
        if not isinstance(entry.value, Map):
            self.error(
                f"{section}: expected a mapping of {kind}s", entry.key, f"write '{kind}_type:' below it"
            )
            return
        known = self.factories[section]
        for key, component in entry.value.entries.items():
            try:
                component_id = ComponentID.parse(key)
            except ValueError as error:
                self.error(f"{section}: {error}", component.key)
                yield key, None
                continue
            factory = known.get(component_id.type)
            if factory is None:
                self.unknown_type(component_id.type, section, kind, component.key)
                yield key, None
                continue
            config = decode(
                component.value,
                factory.config,
                path=f"{section}.{key}",
                place=component.key,
                problems=self.problems,
            )
            body = None if isinstance(config, InvalidValue) else config
            yield key, _Defined(component_id, component.key, factory, body)

    def unknown_type(self, name: str, section: str, kind: str, place: Place) -> None:
        """Report a component type that does not exist."""
        available = f"{section} available: {', '.join(sorted(self.factories[section])) or 'none'}"
        if (advice := instead(kind, name)) is not None:
            what, _, remedy = advice.partition(": ")
            self.error(what, place, remedy, available)
            return
        label = did_you_mean(name, self.factories[section])
        elsewhere = [other for part, other in _SECTIONS.items() if name in self.factories[part]]
        if not label and elsewhere:
            label = f"it is a type of {' and '.join(elsewhere)}"
        self.error(f"unknown {kind} type {name!r}", place, label, available)

    def components(self, section: str) -> dict[ComponentID, ComponentConfig]:
        """Return what a section defines, without what has errors."""
        return {
            defined.id: ComponentConfig(defined.id, defined.factory, defined.config)
            for defined in self.defined[section].values()
            if defined is not None and defined.config is not None
        }

    def pipelines(
        self, service: Node | None, place: Place, acks: Mapping[str, Ack | None]
    ) -> Iterator[tuple[PipelineID, PipelineConfig]]:
        """Yield the pipelines; what is wrong in one does not hide the next."""
        entry = service.entries.get("pipelines") if isinstance(service, Map) else None
        if entry is None or _is_empty(entry.value):
            note = "example: service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}"
            self.error("there is no pipeline", entry.key if entry else place, "nothing would run", note)
            return
        if not isinstance(entry.value, Map):
            return  # decoding the service has said so
        for key, pipeline in entry.value.entries.items():
            pipeline_id = self.pipeline_id(key, pipeline.key)
            path = f"service.pipelines.{key}"
            parts = {part: _child(pipeline.value, part) for part in _PARTS}
            found = {
                part: list(self.references(parts[part], part, f"{path}.{part}", pipeline_id))
                for part in _PARTS
            }
            for part in ("receivers", "exporters"):
                if _is_empty_list(parts[part]):
                    label = f"add {part}: [{', '.join(self.defined[part]) or '…'}]"
                    self.error(f"pipeline {key!r} has no {_SECTIONS[part]}", pipeline.key, label)
            self.order(found["processors"])
            if pipeline_id is not None:
                self.pipeline_places[pipeline_id] = pipeline.key
                yield (
                    pipeline_id,
                    PipelineConfig(
                        signal=pipeline_id.signal,
                        receivers=tuple(reference.id for reference, _ in found["receivers"]),
                        processors=tuple(reference.id for reference, _ in found["processors"]),
                        exporters=tuple(reference.id for reference, _ in found["exporters"]),
                        ack=acks.get(key),
                    ),
                )

    def pipeline_id(self, key: str, place: Place) -> PipelineID | None:
        """Return the id of a pipeline, None if it is wrong."""
        kind, _, name = key.partition("/")
        signals = [signal.value for signal in Signal]
        if kind not in signals:
            label = did_you_mean(kind, signals)
            if kind == "profiles":
                label = "otelcol has it in development"
            accepts = (
                f"a pipeline is named after its signal: {', '.join(signals)}, or with a name: traces/two"
            )
            self.error(f"{kind!r} is not a signal", place, label, accepts)
            return None
        try:
            ComponentID.parse(key)
        except ValueError as error:
            self.error(f"service.pipelines: {error}", place)
            return None
        return PipelineID(kind, name)

    def references(
        self, node: Node | None, section: str, path: str, pipeline: PipelineID | None = None
    ) -> Iterator[tuple[_Defined, Place]]:
        """Yield the components that a list names, each once."""
        kind = _SECTIONS[section]
        seen: set[str] = set()
        for item in node.items if isinstance(node, List) else ():
            if not isinstance(item, Scalar):
                continue  # decoding the service has said so
            key = item.text
            self.used.add((section, key))
            if key in seen:
                self.error(f"{path} names {key!r} twice", item.place, "remove it")
                continue
            seen.add(key)
            if key not in self.defined[section]:
                self.undefined(key, section, kind, item.place)
                continue
            defined = self.defined[section][key]
            if defined is None:
                continue  # its definition has an error
            signals = getattr(defined.factory, "signals", None)
            if pipeline is not None and signals is not None and pipeline.signal not in signals:
                can = ", ".join(signal.value for signal in Signal if signal in signals)
                message = f"{kind} {key!r} does not support {pipeline.signal.value}"
                self.error(message, item.place, f"it supports: {can}")
                continue
            yield defined, item.place

    def undefined(self, key: str, section: str, kind: str, place: Place) -> None:
        """Report a reference to nothing."""
        names = list(self.defined[section])
        label = did_you_mean(key, names)
        self.used.add((section, suggest(key, names) or key))  # what was meant is not unused as well
        elsewhere = [other for other in _SECTIONS if other != section and key in self.defined[other]]
        if not label and elsewhere:
            label = f"it is defined under {' and '.join(elsewhere)}"
        note = f"{section} defined: {', '.join(names)}" if names else f"no {section} are defined"
        self.error(f"{kind} {key!r} is not defined", place, label or f"define it under {section}", note)

    def order(self, processors: list[tuple[_Defined, Place]]) -> None:
        """Warn where the order of processors makes one of them useless."""
        for index, (defined, place) in enumerate(processors):
            if defined.id.type == "memory_limiter" and index > 0:
                name = str(defined.id)
                label = "put it first: what was done before it refuses was in vain"
                self.warning(f"{name!r} is not the first processor", place, label)

    def unused(self) -> None:
        """Warn of what is defined and does nothing."""
        for section in ("receivers", "extensions"):
            for key, defined in self.defined[section].items():
                over_store = defined.factory.over_store if defined is not None and defined.config else None
                if over_store is not None and defined is not None and (section, key) in self.used:
                    self.used.add(("exporters", over_store.exporter(defined.config)))
        for section, kind in _SECTIONS.items():
            for key, defined in self.defined[section].items():
                if defined is not None and (section, key) not in self.used:
                    where = (
                        "service.extensions does not name it"
                        if kind == "extension"
                        else "no pipeline names it"
                    )
                    self.warning(f"{kind} {key!r} is not used", defined.place, where)
        self.idle_storage()

    def idle_storage(self) -> None:
        """Warn of a place for queues that has none: who wrote it believes that what is acknowledged is on the disk."""
        exporters = [one for one in self.defined["exporters"].values() if one is not None]
        if any(one.config is None for one in exporters):
            return  # it may be there, in what cannot be read
        named = {one.config.sending_queue.storage for one in exporters}
        for key, defined in self.defined["extensions"].items():
            if defined is None or defined.factory.queue_storage is None or key in named:
                continue
            if ("extensions", key) in self.used:
                label = f"queues are in memory; set exporters.….sending_queue.storage: {key}"
                self.warning(f"no exporter keeps its queue in extension {key!r}", defined.place, label)


def _child(node: Node | None, key: str) -> Node | None:
    """Return the value of `key`, None if there is none."""
    entry = node.entries.get(key) if isinstance(node, Map) else None
    return entry.value if entry else None


def _is_empty(node: Node) -> bool:
    return (isinstance(node, Scalar) and node.is_null) or (isinstance(node, Map) and not node.entries)


def _is_empty_list(node: Node | None) -> bool:
    return (
        node is None
        or (isinstance(node, Scalar) and node.is_null)
        or (isinstance(node, List) and not node.items)
    )


def used_exporters(config: Config) -> Iterable[ComponentID]:
    """Return the exporters that pipelines name, each once, in the order of the file."""
    named = {exporter for pipeline in config.pipelines.values() for exporter in pipeline.exporters}
    return [component_id for component_id in config.exporters if component_id in named]


def as_data(config: Config, *, reveal: bool = False) -> dict[str, Any]:
    """Return the whole configuration as plain data in the file's shape, defaults filled in."""
    sections = {
        "receivers": config.receivers,
        "processors": config.processors,
        "exporters": config.exporters,
        "extensions": config.extensions,
    }
    data: dict[str, Any] = {
        section: {str(entry.id): encode(entry.config, reveal=reveal) for entry in entries.values()}
        for section, entries in sections.items()
        if entries
    }
    if config.cost is not None:
        data["cost"] = encode(config.cost, reveal=reveal)
    data["service"] = encode(config.service, reveal=reveal)
    return data
