"""`Sender`: what stands between a pipeline and an exporter."""

from __future__ import annotations

from collector.pipeline.sender_config import SenderConfig

__all__ = ["SenderConfig"]
