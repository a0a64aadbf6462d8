"""`NativeEncoder`: requests to rows by compiled code, with the reference encoder for everything out of the ordinary.

The compiled code (`collector._native.encode`) reads the bytes and writes the rows. It asks here, with their
bytes, for what has to be hashed or is seldom: rows of resources, scopes and series that are new (`Describe`), and
all rows of a request that it does not understand. Where even that does not do, because two series have one id or
what was stored is in doubt, the batch is the reference encoder's as a whole. So the result is the reference's.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector._native.encode import Encoder, UnusualError
from collector.model.errors import PermanentError
from collector.model.signal import Signal
from collector.pipeline.memory_plan import UNBOUNDED
from collector.storage import identity
from collector.storage.dimension_rows import SeriesId, resource_row, scope_row, series_row
from collector.storage.encode_points import TEMPORAL
from collector.storage.encoding import ReferenceEncoder
from collector.storage.rows import Encoded, Key, Row
from collector.storage.tables import FACTS_OF, RESOURCES, SCOPES, SERIES, Kind

if TYPE_CHECKING:
    from google.protobuf.message import Message

# By the number of the field in `Metric.data`: its name, and the message that a point of it is.
_POINTS: Final[Mapping[int, tuple[str, type[Message]]]] = {
    5: ("gauge", metrics_pb2.NumberDataPoint),
    7: ("sum", metrics_pb2.NumberDataPoint),
    9: ("histogram", metrics_pb2.HistogramDataPoint),
    10: ("exponential_histogram", metrics_pb2.ExponentialHistogramDataPoint),
    11: ("summary", metrics_pb2.SummaryDataPoint),
}
# `ColumnKind` of decode_rows.pxd.
_KINDS: Final = {
    Kind.TIME: 0,
    Kind.INT16: 1,
    Kind.INT32: 2,
    Kind.INT64: 3,
    Kind.UINT64: 3,
    Kind.FLOAT64: 4,
    Kind.BOOL: 5,
    Kind.TEXT: 6,
    Kind.JSON: 6,
    Kind.UUID: 7,
    Kind.UINT64_ARRAY: 8,
    Kind.FLOAT64_ARRAY: 9,
}


class NativeEncoder:
    """A `PayloadEncoder` that leaves out dimensions which the store has confirmed."""

    def __init__(
        self,
        signal: Signal,
        *,
        entries_max: int = UNBOUNDED.identities,
        keys_max: int = UNBOUNDED.keys,
        spare_max: int = UNBOUNDED.spare,
        series_id: SeriesId = identity.series_id,
    ) -> None:
        self._signal = signal
        self._tables = FACTS_OF[signal]
        self._series_id = series_id
        self._describe = Describe(signal, series_id)
        # One batch may be encoded while another is written: what is believed of the store changes only in between.
        self._lock = threading.Lock()
        self._core = Encoder(
            self._describe,
            signal.value,
            tuple(bytes([_KINDS[column.kind] for column in table.columns]) for table in self._tables),
            secrets.token_bytes(16),
            entries_max=entries_max,
            keys_max=keys_max,
            spare_max=spare_max,
        )

    @property
    def taken_over(self) -> int:
        """How many requests the reference encoder was given so far, of batches that were not its as a whole."""
        return self._describe.taken_over

    def encode(self, payloads: Sequence[bytes]) -> Encoded:
        """See `PayloadEncoder`."""
        kept = tuple(payloads)
        try:
            with self._lock:
                rows, resources, scopes, series = self._core.encode(kept)
                given = bool(resources or scopes or series)
                omission = _Omission(self, kept, self._core.batch, self._core.believed, given=given)
        except (UnusualError, DecodeError, UnicodeDecodeError, PermanentError):
            return self.encode_by_reference(kept)
        facts = {table: rows for table, rows in zip(self._tables, rows, strict=True) if rows is not None}
        dimensions = {RESOURCES: resources, SCOPES: scopes, SERIES: series}
        return Encoded(
            signal=self._signal,
            items=sum(map(len, facts.values())),
            dimensions={table: rows for table, rows in dimensions.items() if rows},
            facts=facts,
            omission=omission,
        )

    def confirm(self, token: object, batch: int) -> None:
        """The dimensions of batch number `batch` are stored. Of no effect if another one has been begun since."""
        with self._lock:
            self._core.confirm(token, batch)

    def forget(self) -> None:
        """Believe nothing to be stored any more."""
        with self._lock:
            self._core.forget()

    def encode_by_reference(self, payloads: Sequence[bytes]) -> Encoded:
        """The same by the reference encoder; nothing is left out."""
        return ReferenceEncoder(self._signal, series_id=self._series_id).encode(payloads)


class _Omission:
    """See `rows.Omission`. `given`: there are dimensions that can be confirmed."""

    def __init__(
        self,
        encoder: NativeEncoder,
        payloads: tuple[bytes, ...],
        batch: int,
        believed: object | None,
        *,
        given: bool,
    ) -> None:
        self._encoder = encoder
        self._payloads = payloads
        self._batch = batch
        self._given = given
        self.believed = believed

    def confirm(self, token: object) -> None:
        # Else there is nothing to say, and the encoder, at work on the next batch, would be waited for.
        if self._given or token is not self.believed:
            self._encoder.confirm(token, self._batch)

    def complete(self) -> Encoded:
        self._encoder.forget()
        return self._encoder.encode_by_reference(self._payloads)


class Describe:
    """What the compiled encoder asks for. Its arguments are bytes as they came in a request."""

    def __init__(self, signal: Signal, series_id: SeriesId) -> None:
        self.taken_over = 0
        self._signal = signal
        self._series_id = series_id

    def resource(self, message: bytes, schema_url: bytes) -> Row:
        """The row of a resource."""
        return resource_row(Resource.FromString(message), schema_url.decode())

    def scope(self, message: bytes, schema_url: bytes) -> Row:
        """The row of a scope."""
        return scope_row(InstrumentationScope.FromString(message), schema_url.decode())

    def series(
        self,
        kind: int,
        metric: bytes,
        attributes: bytes,
        temporality: int,
        monotonic: bool,
        service_name: str,
        resource_id: bytes,
        scope_id: bytes,
    ) -> Row:
        """The row of a series. `metric` and `attributes` are fields of a Metric and of a point of it."""
        name, point = _POINTS[kind]
        parsed: Any = point.FromString(attributes)
        return series_row(
            metrics_pb2.Metric.FromString(metric),
            name,
            temporality if name in TEMPORAL else None,
            monotonic if name == "sum" else None,
            parsed.attributes,
            service_name,
            resource_id,
            scope_id,
            series_id=self._series_id,
        )

    def whole(
        self, payload: bytes
    ) -> tuple[list[tuple[int, list[bytes]]], Mapping[Key, Row], Mapping[Key, Row], Mapping[Key, Row]]:
        """All that the reference encoder makes of a request: rows by number of the table, and dimensions."""
        from collector.storage.postgresql.copy_binary import copy_rows

        self.taken_over += 1
        encoded = ReferenceEncoder(self._signal, series_id=self._series_id).encode([payload])
        tables = FACTS_OF[self._signal]
        dimensions = encoded.dimensions
        return (
            [(tables.index(table), copy_rows(table, rows)) for table, rows in encoded.facts.items()],
            dimensions.get(RESOURCES, {}),
            dimensions.get(SCOPES, {}),
            dimensions.get(SERIES, {}),
        )
