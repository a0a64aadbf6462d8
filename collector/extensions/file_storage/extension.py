"""The `file_storage` extension: the directory in which sending queues are kept."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from collector.pipeline.component import StartError, State

if TYPE_CHECKING:
    from collector.extensions.file_storage.config import FileStorageConfig
    from collector.pipeline.component import Settings


class FileStorage:
    """Makes sure that the directory can be used. The queues in it are opened by the senders that need them."""

    def __init__(self, settings: Settings, config: FileStorageConfig) -> None:
        self._settings = settings
        self._config = config

    def start(self) -> None:
        """See `Component`."""
        directory = self._config.queue_storage().directory
        try:
            if self._config.create_directory:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = directory / f".{os.getpid()}.probe"
            probe.touch()
            probe.unlink()
        except FileNotFoundError as error:
            raise StartError(
                f"{self._settings.id}: there is no directory {directory}: make it, or set 'create_directory: true'"
            ) from error
        except OSError as error:
            raise StartError(
                f"{self._settings.id}: cannot write to {directory}: {error.strerror or error}; let the collector's "
                "user write there, or choose another 'directory'"
            ) from error
        free = shutil.disk_usage(directory).free
        self._settings.report(State.OK, f"{directory}, {free // 1024**2} MiB free at the start")

    def shutdown(self) -> None:
        """See `Component`."""
