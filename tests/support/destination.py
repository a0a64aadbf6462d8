"""The databases that end-to-end tests let the daemon write to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

STORES = ("sqlite", "postgresql", "timescaledb")


@dataclass(frozen=True, slots=True)
class Destination:
    """A database for the daemon to write to: as an exporter's configuration, and as a URL to read it by."""

    exporter: str
    option: str
    url: str

    def config(self, *, batch: str = "{timeout: 100ms}", extra: str = "") -> str:
        """A daemon's configuration: OTLP on free ports, this store, all signals."""
        pipeline = f"{{receivers: [otlp], processors: [memory_limiter, batch], exporters: [{self.exporter}]}}"
        return f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}, http: {{endpoint: "127.0.0.1:0"}}}}}}}}
processors: {{memory_limiter: {{limit_mib: 1000, check_interval: 1s}}, batch: {batch}}}
exporters: {{{self.exporter}: {{{self.option}{extra}}}}}
service:
  admin: {{endpoint: "127.0.0.1:0"}}
  pipelines: {{traces: {pipeline}, metrics: {pipeline}, logs: {pipeline}, costs: {pipeline}}}
"""


def sqlite_destination(path: Path) -> Destination:
    """A SQLite file that does not exist yet."""
    return Destination("sqlite", f'path: "{path}"', f"sqlite:///{path}")


def postgresql_destination(url: str, *, exporter: str = "postgresql") -> Destination:
    """An existing PostgreSQL database."""
    return Destination(exporter, f'connection_string: "{url}", auto_migrate: true', url)
