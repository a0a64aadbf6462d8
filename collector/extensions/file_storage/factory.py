"""How the `file_storage` extension is made."""

from __future__ import annotations

from typing import Final

from collector.extensions.file_storage.config import FileStorageConfig
from collector.extensions.file_storage.extension import FileStorage
from collector.pipeline.component import ExtensionFactory

FACTORY: Final = ExtensionFactory(
    type_name="file_storage",
    config=FileStorageConfig,
    create=FileStorage,
    queue_storage=FileStorageConfig.queue_storage,
)
