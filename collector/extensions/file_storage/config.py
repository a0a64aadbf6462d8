"""Options of the `file_storage` extension: otelcol's keys, and its defaults except where they lose data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from collector.config.option import Invalid, Unsupported, option
from collector.config.types import ByteSize
from collector.pipeline.disk_queue import SEGMENT_SIZE, QueueStorage

_SEGMENT_SIZE_MIN: Final = 1024 * 1024
_SEGMENT_SIZE_MAX: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStorageConfig:
    """Keep sending queues on disk, so that what was acknowledged outlives the process and the machine's power."""

    directory: str = option(
        doc="Where queues are kept: one folder for each exporter and signal. On a disk of this machine.",
        example="${env:COLLECTOR_DATA_DIR}/queue",
    )
    create_directory: bool = option(
        True, doc="Make the directory when it is missing (otelcol: false). Its folders are made in any case."
    )
    fsync: bool = option(
        True,
        doc="Answer clients when the disk has confirmed the data (otelcol: false). false: a crash of the process loses "
        "nothing, a power failure loses what the disk had not written yet, acknowledged or not.",
    )
    segment_size: ByteSize = option(
        ByteSize(SEGMENT_SIZE),
        doc="Bytes of one file of a queue; at most an eighth of `queue_size` is used. Space is given back file by file.",
        minimum=_SEGMENT_SIZE_MIN,
        maximum=_SEGMENT_SIZE_MAX,
    )
    UNSUPPORTED: ClassVar = (
        Unsupported(
            "timeout",
            "a lock would be waited for so long; here a second process is told at once",
            harmless=True,
        ),
        Unsupported(
            "compaction", "space would be given back by rewriting; here it is, file by file", harmless=True
        ),
        Unsupported(
            "recreate",
            "a damaged queue would be set aside as a whole; here only the damaged records are",
            harmless=True,
        ),
        Unsupported("directory_permissions", "the directory would have this mode; here it is 0700"),
    )

    def validate(self) -> Iterator[Invalid]:
        """Check the path."""
        if not self.directory.strip() or "\0" in self.directory:
            yield Invalid("directory", "names no directory")

    def queue_storage(self) -> QueueStorage:
        """The same as the queues take it."""
        return QueueStorage(
            directory=Path(self.directory).expanduser(),
            fsync=self.fsync,
            segment_size=int(self.segment_size),
        )
