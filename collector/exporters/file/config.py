"""Options of the `file` exporter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from collector.config.option import Invalid, Unsupported, option
from collector.pipeline.sender_config import SenderConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationConfig:
    """When a new file is begun, and how long old ones are kept."""

    max_megabytes: int = option(100, doc="Size in MiB at which a new file is begun. 0: never.", minimum=0)
    max_days: int = option(0, doc="Days after which an old file is deleted. 0: never.", minimum=0)
    max_backups: int = option(100, doc="Old files that are kept; older ones are deleted. 0: all.", minimum=0)
    UNSUPPORTED: ClassVar = (
        Unsupported("localtime", "the names of old files would have local time instead of UTC"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileConfig(SenderConfig):
    """Where the lines go."""

    path: Path = option(
        doc="The file. Its directory must exist.", example="/var/lib/collector/telemetry.jsonl"
    )
    format: Literal["json"] = option("json", doc="One request as OTLP/JSON per line.")
    rotation: RotationConfig = option(
        default_factory=RotationConfig, doc="When a new file is begun (otelcol: never, unless told so)."
    )
    append: bool = option(
        True, doc="false: empty the file at each start, as otelcol does unless told otherwise."
    )
    fsync: bool = option(
        False, doc="true: a batch counts as delivered when the disk has it; false: when the system has it."
    )
    UNSUPPORTED: ClassVar = (
        Unsupported("flush_interval", "every batch is written at once", harmless=True),
        Unsupported("compression", "the lines would be compressed with zstd"),
        Unsupported("encoding", "the lines would be written by an encoding extension"),
        Unsupported("group_by", "there would be a file for each value of a resource attribute"),
        Unsupported("create_directory", "missing directories would be made"),
        Unsupported("directory_permissions", "missing directories would be made with these permissions"),
    )

    def validate(self) -> Iterator[Invalid]:
        """Check that the path can name a file."""
        if self.path.is_dir():
            yield Invalid("path", f"{self.path} is a directory; name a file in it")
