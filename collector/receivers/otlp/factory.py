"""How the `otlp` receiver is made."""

from __future__ import annotations

from typing import Final

from collector.model.signal import Signal
from collector.pipeline.component import ReceiverFactory
from collector.receivers.otlp.config import OtlpReceiverConfig
from collector.receivers.otlp.receiver import OtlpReceiver

FACTORY: Final = ReceiverFactory(
    type_name="otlp",
    config=OtlpReceiverConfig,
    signals=frozenset(Signal),
    create=OtlpReceiver,
)
