"""What encodes the batches of an exporter: the native encoder if it is there, else the reference.

The only place that chooses. Both give the same; `native` says how, and what for. Costs have
one encoder, in Python: they are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from collector.model.signal import Signal
from collector.pipeline.memory_plan import UNBOUNDED, MemoryPlan
from collector.storage.rows import Encoded
from collector.version import native

if TYPE_CHECKING:
    from collector.storage.dimension_rows import SeriesId


class PayloadEncoder(Protocol):
    """Encodes batch after batch of one signal. Not thread-safe."""

    def encode(self, payloads: Sequence[bytes]) -> Encoded:
        """Encode what `wire.scan` has let through: encoded `Export…ServiceRequest`s, in their order."""
        ...


def payload_encoder(signal: Signal, memory: MemoryPlan = UNBOUNDED) -> PayloadEncoder:
    """Return a new encoder of batches of `signal`, that remembers and keeps as much as `memory` says."""
    if signal is Signal.COSTS:
        return CostEncoder()
    if native():
        from collector.storage.native import NativeEncoder

        return NativeEncoder(
            signal, entries_max=memory.identities, keys_max=memory.keys, spare_max=memory.spare
        )
    return ReferenceEncoder(signal)


class CostEncoder:
    """`storage.encode_costs` as a `PayloadEncoder`. What it needs is loaded when there are costs."""

    def encode(self, payloads: Sequence[bytes]) -> Encoded:
        """See `PayloadEncoder`."""
        from collector.storage.encode_costs import encode_costs

        request = Signal.COSTS.request_type()
        return encode_costs([request.FromString(payload) for payload in payloads])


class ReferenceEncoder:
    """`storage.encode` as a `PayloadEncoder`."""

    def __init__(self, signal: Signal, *, series_id: SeriesId | None = None) -> None:
        from collector.storage.encode import Encoder

        self._signal = signal
        self._encoder = Encoder() if series_id is None else Encoder(series_id=series_id)

    def encode(self, payloads: Sequence[bytes]) -> Encoded:
        """See `PayloadEncoder`."""
        request = self._signal.request_type()
        return self._encoder.encode(self._signal, [request.FromString(payload) for payload in payloads])
