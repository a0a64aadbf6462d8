"""The options under `service:`, in otelcol's shape where it has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from collector.config.option import Invalid, Unsupported, option
from collector.config.types import ByteSize, Duration
from collector.pipeline.endpoint import endpoint_text
from collector.pipeline.memory_plan import MemoryPlan, memory_plan


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsConfig:
    """What the daemon says about itself, on standard error."""

    level: Literal["debug", "info", "warn", "error"] = option(
        "info", doc="Least severe level that is written."
    )
    encoding: Literal["auto", "console", "json"] = option(
        "auto", doc="`auto` is console on a terminal and JSON lines elsewhere."
    )
    UNSUPPORTED: ClassVar = (
        Unsupported("output_paths", "the log would go to these files; here it goes to standard error"),
        Unsupported("error_output_paths", "the logger's own errors would go there", harmless=True),
        Unsupported("development", "warnings would carry stack traces", harmless=True),
        Unsupported(
            "disable_caller", "lines would have no source position; they have none here", harmless=True
        ),
        Unsupported(
            "disable_stacktrace", "errors would carry no stack trace; here only bugs do", harmless=True
        ),
        Unsupported(
            "sampling",
            "repeated lines would be thinned out by these numbers; here they always are",
            harmless=True,
        ),
        Unsupported("initial_fields", "these fields would be added to every line"),
        Unsupported("processors", "the daemon's own log would be exported as OTLP"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """What the daemon counts about itself: at `/metrics` of the admin server."""

    level: Literal["none", "basic", "normal", "detailed"] = option(
        "normal", doc="As in otelcol; `none` switches `/metrics` off, the others are one here."
    )
    without_type_suffix: bool = option(
        True, doc="Counters are named as in otelcol: `otelcol_exporter_sent_spans`. false: with `_total`."
    )
    UNSUPPORTED: ClassVar = (
        Unsupported(
            "readers",
            "own metrics would be exposed or pushed there; here they are at /metrics of service.admin.endpoint",
        ),
        Unsupported(
            "address",
            "own metrics would be exposed there; here they are at /metrics of service.admin.endpoint",
        ),
        Unsupported("views", "own metrics would be renamed or left out"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryConfig:
    """The daemon's own telemetry."""

    logs: LogsConfig = option(default_factory=LogsConfig, doc="Its log.")
    metrics: MetricsConfig = option(default_factory=MetricsConfig, doc="Its metrics.")
    UNSUPPORTED: ClassVar = (
        Unsupported("traces", "the daemon's own traces would be exported"),
        Unsupported("resource", "own telemetry would carry these attributes"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminConfig:
    """The admin server: `/livez`, `/readyz`, `/healthz`, `/metrics`, `/policies`."""

    endpoint: str = option(
        "127.0.0.1:13133",
        doc="`host:port`. For probes of a kubelet it has to be an address of the pod: 0.0.0.0:13133.",
        parse=endpoint_text,
    )
    changes: bool | None = option(
        None,
        doc="Whether policies can be added, replaced and removed over HTTP. Left out: only where the endpoint is on "
        "loopback, since whoever reaches it may.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineBody:
    """The parts of one pipeline, in the order in which data passes them."""

    receivers: tuple[str, ...] = option((), doc="Where its data comes from; at least one.")
    processors: tuple[str, ...] = option((), doc="What happens to it, in this order.")
    exporters: tuple[str, ...] = option((), doc="Where each item goes; at least one.")
    ack: Literal["memory", "disk", "stored"] | None = option(
        None,
        doc="When clients are answered: `memory`: when the data is in the queues; `disk`: when these are on disk and "
        "have synced it; `stored`: when the exporters have delivered it, or after 8s with a request to come again. "
        "Left out: `disk` where the queue is on disk, else `memory`.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """The daemon as a whole: which of the defined components run, and how they are connected."""

    pipelines: Mapping[str, PipelineBody] = option(
        default_factory=dict, doc="By name: a signal (traces, metrics, logs), or signal/name."
    )
    extensions: tuple[str, ...] = option((), doc="Extensions to start, in this order.")
    admin: AdminConfig = option(default_factory=AdminConfig, doc="Health and metrics over HTTP.")
    telemetry: TelemetryConfig = option(
        default_factory=TelemetryConfig, doc="What the daemon says of itself."
    )
    shutdown_timeout: Duration = option(
        Duration(20),
        doc="Longest time from SIGTERM to the end; what is not stored by then is named in the log. "
        "Keep it below the pod's terminationGracePeriodSeconds.",
    )
    shutdown_delay: Duration = option(
        Duration(0),
        doc="Part of it, in which requests are still taken while /readyz says no: as long as a Service or a load "
        "balancer needs to send nobody here any more. Not for a sidecar.",
        example="5s",
    )
    in_flight_size_max: ByteSize | None = option(
        None,
        doc="Memory of requests between arrival and answer, in all receivers together; more are refused, retryable, "
        "and what could never fit for ever. Left out: a share of the memory that the process may have (its control "
        "group's limit, less what it needs itself), at most 1GiB.",
        minimum=1024,
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        if self.shutdown_delay and self.shutdown_delay >= self.shutdown_timeout:
            yield Invalid("shutdown_delay", "must be less than shutdown_timeout, of which it is a part")

    def memory(self, available: int | None) -> MemoryPlan:
        """How the memory is divided, of a process that may have `available` bytes; None: nobody knows."""
        asked = self.in_flight_size_max
        return memory_plan(available, None if asked is None else int(asked))
