"""What is said when the service is up: what is bound, where data goes, what a 200 means, how to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from collector.pipeline.sender_config import Ack
from collector.version import version_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """The facts. `listening` and `storing` are by component name."""

    listening: Mapping[str, str]
    storing: Mapping[str, str]
    admin: str
    guarantee: str
    environment: Mapping[str, Mapping[str, str]]  # transport -> variables that point an app here

    def fields(self) -> dict[str, object]:
        """The same as fields of a log line."""
        return {
            "version": version_text(),
            "listening": dict(self.listening),
            "admin": self.admin,
            "storing": dict(self.storing),
            "guarantee": self.guarantee,
            "environment": {transport: dict(lines) for transport, lines in self.environment.items()},
        }

    def text(self) -> str:
        """The same for a terminal."""
        rows = [("listening", name, where) for name, where in self.listening.items()]
        rows.append(("admin", "http", f"http://{self.admin}   /healthz /metrics"))
        rows += [("storing", name, where) for name, where in self.storing.items()]
        width = max((len(name) for _, name, _ in rows), default=0)
        lines = [version_text(), ""]
        previous = ""
        for topic, name, where in rows:
            lines.append(f"  {topic if topic != previous else '':<10}  {name:<{width}}  {where}")
            previous = topic
        lines += ["", f"  A 200 means: {self.guarantee}", ""]
        for number, (transport, variables) in enumerate(self.environment.items()):
            lines.append(f"  {'Send to it' if not number else 'Or'} over {transport}:")
            lines += [f"    export {name}={value}" for name, value in variables.items()]
        lines += ["", "Everything is ready. Ctrl-C stops it, after what is queued has been stored."]
        return "\n".join(lines)


_MEANING: Final[Mapping[Ack, str]] = {
    "stored": "your data is stored where it was to go.",
    "disk": "your data is on this disk, and is stored {soon} while the destination is up.",
    "memory": "your data is in this process's memory, and is stored {soon} while the destination is up; "
    "a stop drains it, a crash in between loses it.",
}


def guarantee(interval_s: float, acks: Mapping[str, Ack]) -> str:
    """What an app may believe when its request was answered with 200 or OK; `acks` by pipeline."""
    soon = "at once" if not interval_s else f"within about {interval_s:g} s"
    levels = dict.fromkeys(acks.values())
    if len(levels) <= 1:
        return _MEANING[next(iter(levels), "memory")].format(soon=soon)
    return " ".join(
        f"{', '.join(name for name, ack in acks.items() if ack == level)}: {_MEANING[level].format(soon=soon)}"
        for level in levels
    )


def environment(protocol: str, endpoint: str) -> dict[str, str]:
    """The two variables that point an OpenTelemetry SDK at `endpoint`.

    `protocol` is `grpc` or `http` (OpenTelemetry specification, "OTLP Exporter Configuration").
    """
    host, _, port = endpoint.rpartition(":")
    # Bound to every interface: the app on this machine reaches it by loopback.
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{reachable}:{port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc" if protocol == "grpc" else "http/protobuf",
    }
