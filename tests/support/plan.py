"""Components that write down what happens to them, to test what holds components together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from collector.config.load import load
from collector.config.option import option
from collector.config.sources import Surroundings
from collector.config.types import Duration
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import (
    Consumer,
    Exporter,
    ExporterFactory,
    Factories,
    Processor,
    ProcessorFactory,
    ReceiverFactory,
    Settings,
    StartError,
)
from collector.pipeline.sender_config import SenderConfig
from collector.service.config import Config, load_config
from tests.support.components import RecordingExporter

ALL = frozenset(Signal)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartConfig:
    """Options of the parts in these tests."""

    fails: bool = option(False, doc="Whether it raises: when it starts, and when it stops.")
    dies: bool = option(False, doc="Whether it has a thread that raises.")
    timeout: Duration = option(Duration(0.0), doc="For the batching one: the interval.")


@dataclass
class Plan:
    """What was made, and what was called in which order."""

    calls: list[str] = field(default_factory=list)
    receivers: dict[str, Mapping[Signal, Consumer]] = field(default_factory=dict)
    exporters: dict[str, RecordingExporter] = field(default_factory=dict)  # the last one of each name
    made: list[str] = field(default_factory=list)

    @cached_property
    def factories(self) -> Factories:
        """Factories whose components write into this plan."""
        plan = self

        class Part:
            def __init__(self, settings: Settings, config: PartConfig, consumer: Consumer | None) -> None:
                self.name, self.config, self.next = str(settings.id), config, consumer
                self.spawn = settings.spawn

            def start(self) -> None:
                plan.calls.append(f"start {self.name}")
                if self.config.fails:
                    raise StartError("it cannot")
                if self.config.dies:
                    self.spawn("mortal", self.die)

            def die(self) -> None:
                raise RuntimeError("it was too much")

            def shutdown(self) -> None:
                plan.calls.append(f"stop {self.name}")
                if self.config.fails:
                    raise RuntimeError("it does not want to")

            def consume(self, data: Telemetry, /) -> None:
                plan.calls.append(f"consume {self.name}")
                assert self.next is not None
                self.next.consume(data)

        class Out(RecordingExporter):
            def __init__(self, settings: Settings) -> None:
                super().__init__()
                self.name = str(settings.id)

            def start(self) -> None:
                plan.calls.append(f"start {self.name}")

            def shutdown(self) -> None:
                plan.calls.append(f"stop {self.name}")

        def create_receiver(settings: Settings, config: Any, consumers: Mapping[Signal, Consumer]) -> Part:
            plan.receivers[str(settings.id)] = consumers
            return Part(settings, config, None)

        def create_processor(settings: Settings, config: Any, consumer: Consumer) -> Processor:
            return Part(settings, config, consumer)

        def create_exporter(settings: Settings, config: Any) -> Exporter:
            plan.made.append(str(settings.id))
            exporter = plan.exporters[str(settings.id)] = Out(settings)
            return exporter

        def limits(config: PartConfig) -> BatchLimits:
            return BatchLimits(interval_s=float(config.timeout))

        def processor(name: str, batch_limits: Callable[[Any], BatchLimits] | None) -> ProcessorFactory:
            return ProcessorFactory(
                type_name=name,
                config=PartConfig,
                signals=ALL,
                create=create_processor,
                batch_limits=batch_limits,
            )

        return Factories(
            receivers={
                "in": ReceiverFactory(type_name="in", config=PartConfig, signals=ALL, create=create_receiver)
            },
            processors={"mid": processor("mid", None), "batch": processor("batch", limits)},
            exporters={
                "out": ExporterFactory(
                    type_name="out", config=SenderConfig, signals=ALL, create=create_exporter
                )
            },
        )


def configured(plan: Plan, text: str) -> Config:
    """The configuration `text`, of components that write into `plan`."""
    return load_config(load([f"yaml:{text}"], [], Surroundings({})), plan.factories)


CHAIN = """
receivers: {in: {}}
processors: {mid/1: {}, mid/2: {}}
exporters: {out: {}}
service:
  admin: {endpoint: "127.0.0.1:0"}
  pipelines: {logs: {receivers: [in], processors: [mid/1, mid/2], exporters: [out]}}
"""
