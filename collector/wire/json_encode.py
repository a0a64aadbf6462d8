"""Protobuf to OTLP/JSON: the inverse of `json_decode`, for files, for `debug` and for replies."""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

    from collector.model.signal import Signal

_encode: Final = msgspec.json.Encoder().encode


def encode_json(signal: Signal, message: Message) -> bytes:
    """Return an `Export…ServiceRequest` as OTLP/JSON on one line, without a line feed.

    `decode_json` gives back an equal message, except for unknown fields and which NaN a NaN is.
    """
    if not isinstance(message, signal.request_type()):
        raise TypeError(f"{type(message).__name__} is not a request of {signal.value}")
    return encode_message(message)


def encode_message(message: Message) -> bytes:
    """Return any OTLP message in the same form."""
    return _encode(_object(message))


def _object(message: Any) -> dict[str, Any]:
    """The fields that are set. AnyValues nest as deep as the parser let them: at most 100 messages."""
    fields = _fields(message.DESCRIPTOR)
    result: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        key, convert = fields[descriptor.number]
        if descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry:
            result[key] = dict(value)
        else:
            result[key] = (
                [convert(element) for element in value] if descriptor.is_repeated else convert(value)
            )
    return result


@cache
def _fields(descriptor: Descriptor) -> dict[int, tuple[str, Callable[[Any], Any]]]:
    return {field.number: (field.json_name, _converter(field)) for field in descriptor.fields}


def _converter(field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.message_type is not None:
        return _object
    match field.type:
        case field.TYPE_BYTES:
            return bytes.hex if field.name.endswith("_id") else _base64
        case field.TYPE_DOUBLE | field.TYPE_FLOAT:
            return _double
        case (
            field.TYPE_INT64
            | field.TYPE_SINT64
            | field.TYPE_SFIXED64
            | field.TYPE_UINT64
            | field.TYPE_FIXED64
        ):
            return str
        case _:
            return _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _base64(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode()


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
