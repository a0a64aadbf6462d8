"""Options of the `debug` exporter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from collector.config.option import Unsupported, option
from collector.pipeline.sender_config import SenderConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugConfig(SenderConfig):
    """What is shown of the data that arrives."""

    verbosity: Literal["basic", "normal", "detailed"] = option(
        "basic",
        doc="basic: one line per batch, with counts; normal: one line per item; detailed: everything, as OTLP/JSON.",
    )
    sampling_initial: int = option(2, doc="Batches shown in each second before sampling begins.", minimum=0)
    sampling_thereafter: int = option(
        1, doc="After those, every so many-th batch of the second is shown. 1: all; 0: none.", minimum=0
    )
    use_internal_logger: bool = option(
        True, doc="true: into the collector's log; false: plain, to standard output."
    )
    UNSUPPORTED: ClassVar = (
        Unsupported("output_paths", "the text would go to these files; use the 'file' exporter to keep data"),
    )
