"""Options of the `sqlite` exporter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from collector.config.option import Invalid, option
from collector.storage.exporter import StoreConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteConfig(StoreConfig):
    """Store telemetry in a SQLite file."""

    path: str = option(
        doc="The file. It and its folder are made when they are missing. Also as `sqlite:///relative.db` or "
        "`sqlite:////absolute.db`.",
        aliases=("connection_string", "connection"),
        example="/var/lib/collector/telemetry.db",
    )
    migrate: bool = option(
        True, doc="Create the tables and bring them up to date; false waits until `collector database` did."
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        if not self.path.removeprefix("sqlite:").strip("/") or ":memory:" in self.path:
            yield Invalid("path", "names no file; to store in memory, use the exporter `memory`")
