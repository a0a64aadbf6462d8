"""Options of the `memory` exporter."""

from __future__ import annotations

from dataclasses import dataclass

from collector.config.option import option
from collector.pipeline.sender_config import SenderConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryConfig(SenderConfig):
    """Keep the newest telemetry in memory, to look at; it ends with the process."""

    items_max: int = option(
        10_000,
        doc="Items kept, of all signals together. The oldest go first, and are counted.",
        minimum=1,
        aliases=("max_memory_entries",),
    )
