"""The `file` exporter: OTLP/JSON lines (OpenTelemetry specification, protocol/file-exporter.md)."""

from __future__ import annotations

import errno
import os
import threading
from typing import Final

from collector.exporters.file.config import FileConfig
from collector.exporters.file.rotating import RotatingFile
from collector.model.errors import RetryableError
from collector.pipeline.component import Batch, CheckStep, Settings, StartError
from collector.wire.json_encode import encode_json

_REASONS: Final = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
}


class FileExporter:
    """Writes every request as it came in on a line of its own: one file for all signals."""

    def __init__(self, settings: Settings, config: FileConfig) -> None:
        self._config = config
        self._lock = threading.Lock()  # one thread per signal
        self._file = RotatingFile(config.path, config.rotation, settings.clock)

    def start(self) -> None:
        """Open the file. See `Component`."""
        try:
            self._file.open(append=self._config.append)
        except OSError as error:
            raise StartError(
                f"cannot write {self._config.path}: {error.strerror}. The directory must exist, and this user "
                f"(uid {os.geteuid()}) must be allowed to write there"
            ) from error

    def shutdown(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def export(self, batch: Batch, /) -> None:
        """See `Exporter`. A batch is in the file as a whole, or not at all."""
        block = b"".join(encode_json(batch.signal, record.parse()) + b"\n" for record in batch.records)
        try:
            with self._lock:
                self._file.append(block, sync=self._config.fsync)
        except OSError as error:
            # Never permanent: space comes back, permissions are mended, disks are mounted again.
            raise RetryableError(
                f"cannot write {self._config.path}: {error.strerror}",
                reason=_REASONS.get(error.errno or 0, "io"),
            ) from error

    def check(self) -> list[CheckStep]:
        """See `Exporter`. Creates nothing."""
        path = self._config.path
        directory = path.parent
        steps = [CheckStep("directory", directory.is_dir(), str(directory.absolute()))]
        if steps[0].ok:
            target = path if path.exists() else directory
            writable = os.access(target, os.W_OK) and os.access(directory, os.W_OK | os.X_OK)
            detail = f"{target}" if writable else f"{target} is not writable for uid {os.geteuid()}"
            steps.append(CheckStep("write", writable, detail))
        return steps
