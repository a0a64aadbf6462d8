"""Content-addressed names of resources, scopes and series: any writer computes the same, without asking anybody.

Byte by byte, since other writers must agree (`tests/unit/storage/test_identity.py` holds vectors). All lengths
and counts are 4 bytes and all numbers little-endian; text is UTF-8.

    text      := length bytes
    value     := 00                                empty
               | 01 text                           string
               | 02 (00 | 01)                      bool
               | 03 int64                          int
               | 04 float64                        double; every NaN is 7ff8000000000000
               | 05 count value*                   array
               | 06 kvlist                         kvlist
               | 07 length bytes                   bytes
    kvlist    := count (text value)*               sorted by the bytes of the key, at every level
    entity    := text(schema_url) text(type) count text* count text*     id_keys, description_keys
    resource  := "resource" 00 kvlist uint32(dropped_attributes_count) count entity* text(schema_url)
    scope     := "scope" 00 text(name) text(version) kvlist uint32(dropped_attributes_count) text(schema_url)
    stream    := "stream" 00 text(metric) text(type) text(unit) int32(temporality or 0) (00 | 01: monotonic)
                 kvlist(attributes of the point) resource_id scope_id
    series    := "series" 00 stream_id text(description) kvlist(metadata)

Tags are AnyValue's field numbers. Each id is BLAKE2b of that content with a digest of 16 bytes, no key:
`resource_id`, `scope_id`, `stream_id` and the series' `digest`.

Collisions. A `series_id` is in every point, so it is only 64 bits: the first 8 bytes of the digest as a signed
integer. Among 10^8 series two share one with a probability of 0.03 %. That is not assumed away: who writes a
series compares the digest stored under its id, and if it is another's, takes the first 8 bytes of
BLAKE2b-16(digest uint32(1)), then of (digest uint32(2)), and so on; every writer in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from operator import attrgetter
from struct import Struct
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, EntityRef, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

_U32: Final = Struct("<I").pack
_I64: Final = Struct("<q")
_F64: Final = Struct("<d").pack
_NAN: Final = bytes.fromhex("000000000000f87f")
_by_key: Final = attrgetter("key")


def resource_id(resource: Resource, schema_url: str) -> bytes:
    """The id of a resource."""
    return _hash(
        b"resource\0",
        _kvlist(resource.attributes),
        _U32(resource.dropped_attributes_count),
        _U32(len(resource.entity_refs)),
        *map(_entity, resource.entity_refs),
        _text(schema_url),
    )


def scope_id(scope: InstrumentationScope, schema_url: str) -> bytes:
    """The id of a scope."""
    return _hash(
        b"scope\0",
        _text(scope.name),
        _text(scope.version),
        _kvlist(scope.attributes),
        _U32(scope.dropped_attributes_count),
        _text(schema_url),
    )


def stream_prefix(name: str, kind: str, unit: str, temporality: int | None, monotonic: bool | None) -> bytes:
    """What the streams of one metric have in common: the beginning of their content."""
    return b"".join(
        (
            b"stream\0",
            _text(name),
            _text(kind),
            _text(unit),
            (temporality or 0).to_bytes(4, "little", signed=True),
            b"\1" if monotonic else b"\0",
        )
    )


def stream_id(prefix: bytes, attributes: Iterable[KeyValue], resource: bytes, scope: bytes) -> bytes:
    """The id of a metric stream: `prefix` from `stream_prefix`, the point's attributes and two ids."""
    return _hash(prefix, _kvlist(attributes), resource, scope)


def series_digest(stream: bytes, description: str, metadata: Sequence[KeyValue]) -> bytes:
    """The digest of a series: its stream and what describes it without identifying it."""
    return _hash(b"series\0", stream, _text(description), _kvlist(metadata))


def series_id(digest: bytes, attempt: int = 0) -> int:
    """The id of a series, or the next to try when `attempt` ids before it were another's."""
    if attempt:
        digest = _hash(digest, _U32(attempt))
    return int.from_bytes(digest[:8], "little", signed=True)


def _hash(*parts: bytes) -> bytes:
    return blake2b(b"".join(parts), digest_size=16).digest()


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _U32(len(encoded)) + encoded


def _kvlist(attributes: Iterable[KeyValue]) -> bytes:
    parts = []
    # Python orders text by code point, which is the order of its UTF-8 bytes.
    for attribute in sorted(attributes, key=_by_key):
        parts.append(_text(attribute.key))
        parts.append(_value(attribute.value))
    return _U32(len(parts) // 2) + b"".join(parts)


def _value(value: AnyValue) -> bytes:
    match value.WhichOneof("value"):
        case "string_value":
            return b"\1" + _text(value.string_value)
        case "bool_value":
            return b"\2\1" if value.bool_value else b"\2\0"
        case "int_value":
            return b"\3" + _I64.pack(value.int_value)
        case "double_value":
            number = value.double_value
            return b"\4" + (_F64(number) if number == number else _NAN)
        case "array_value":
            elements = value.array_value.values
            return b"\5" + _U32(len(elements)) + b"".join(map(_value, elements))
        case "kvlist_value":
            return b"\6" + _kvlist(value.kvlist_value.values)
        case "bytes_value":
            return b"\7" + _U32(len(value.bytes_value)) + value.bytes_value
        case _:
            return b"\0"


def _entity(entity: EntityRef) -> bytes:
    return b"".join(
        (
            _text(entity.schema_url),
            _text(entity.type),
            _U32(len(entity.id_keys)),
            *map(_text, entity.id_keys),
            _U32(len(entity.description_keys)),
            *map(_text, entity.description_keys),
        )
    )
