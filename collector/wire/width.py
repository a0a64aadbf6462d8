"""How many messages a request may consist of, whatever its size: a bound on what two bytes can cost.

An empty message is two bytes on the wire, and a hundred in memory. Requests of honest senders have 16 bytes or more
for every message in them, and far fewer resources, scopes and metrics than `ENVELOPES_MAX`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from collector.model.signal import Signal
from collector.wire.errors import MalformedError
from collector.wire.repair import MESSAGE_DEPTH_MAX

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

# Resources, scopes and metrics in one request.
ENVELOPES_MAX: Final = 100_000
# Messages of any kind: this many, and one for every so many bytes.
_MESSAGES: Final = 100_000
_BYTES_PER_MESSAGE: Final = 8
# The shortest message: a tag, and the length 0. In JSON: two braces.
_MESSAGE_BYTES_MIN: Final = 2

# Smaller requests are not counted.
_COUNTED_BYTES: Final = 4096
# Measured, with protobuf's upb and msgspec; see tests/unit/wire/test_width.py.
_PARSED_FACTOR: Final = 4
_PARSED_PER_MESSAGE: Final = 112
_JSON_FACTOR: Final = 5
_JSON_WIDE_FACTOR: Final = 8
_JSON_PER_CONTAINER: Final = 128
_JSON_PER_VALUE: Final = 64

_TAG_MIN: Final = 8
_VARINT: Final = 0
_FIXED64: Final = 1
_LENGTH: Final = 2
_FIXED32: Final = 5

_NAMES: Final = {Signal.TRACES: "spans", Signal.METRICS: "metrics", Signal.LOGS: "logs"}
_ENVELOPES: Final = ("Resource", "Scope", "Metric")  # ResourceSpans, ScopeSpans, Metric, …


def messages_max(size: int) -> int:
    """How many messages a request of `size` bytes may consist of."""
    return _MESSAGES + size // _BYTES_PER_MESSAGE


def check_width(signal: Signal, body: bytes) -> int:
    """Refuse an encoded request that consists of too many messages. One that is not well formed passes.

    Returns:
        Of how many messages it consists, at most.

    Raises:
        MalformedError: it does.
    """
    if len(body) <= _COUNTED_BYTES:
        return len(body) // _MESSAGE_BYTES_MIN
    descriptor: Any = signal.request_type().DESCRIPTOR
    return _count(body, _fields(descriptor))


def parsed_memory(size: int, messages: int) -> int:
    """What a request of so many bytes and messages takes when it is parsed, and written again if it was changed."""
    return _PARSED_FACTOR * size + _PARSED_PER_MESSAGE * messages


def json_memory(body: bytes) -> int:
    """What an OTLP/JSON request takes when it is decoded: objects of Python, and of protobuf, and the result."""
    # One character that is not ASCII, and each of its text takes up to four bytes.
    wide = not body.isascii() or b"\\u" in body
    containers = body.count(b"{") + body.count(b"[")
    return (
        (_JSON_WIDE_FACTOR if wide else _JSON_FACTOR) * len(body)
        + _JSON_PER_CONTAINER * containers
        + _JSON_PER_VALUE * body.count(b",")
    )


def check_json_width(body: bytes) -> None:
    """Refuse an OTLP/JSON request that consists of too many messages: what begins one is counted, also in strings.

    Raises:
        MalformedError: it does.
    """
    if len(body) <= _MESSAGE_BYTES_MIN * _MESSAGES:
        return  # it cannot
    if sum(map(body.count, (b"{", b"[", b"null"))) > messages_max(len(body)):
        raise _too_many_messages(len(body))


def check_envelopes(signal: Signal, message: Message) -> None:
    """Refuse a parsed request that has too many resources, scopes and metrics.

    Raises:
        MalformedError: it does.
    """
    if signal is Signal.COSTS:
        return  # there are none
    resources: Any = message
    resources = getattr(resources, f"resource_{_NAMES[signal]}")
    count = len(resources)
    for resource in resources:
        scopes = getattr(resource, f"scope_{_NAMES[signal]}")
        count += len(scopes)
        if signal is Signal.METRICS:
            count += sum(len(scope.metrics) for scope in scopes)
        if count > ENVELOPES_MAX:
            break
    if count > ENVELOPES_MAX:
        raise _too_many_envelopes()


def _too_many_messages(size: int) -> MalformedError:
    return MalformedError(
        f"the request consists of more than {messages_max(size)} messages, too many for its {size} bytes",
        reason="too_wide",
    )


def _too_many_envelopes() -> MalformedError:
    return MalformedError(
        f"the request has more than {ENVELOPES_MAX} resources, scopes and metrics; send smaller batches",
        reason="too_wide",
    )


@dataclass(frozen=True, slots=True)
class _Field:
    message: Descriptor
    is_envelope: bool


@cache
def _fields(descriptor: Descriptor) -> dict[int, _Field]:
    """The messages in a message, by tag."""
    return {
        field.number << 3 | _LENGTH: _Field(
            field.message_type, field.is_repeated and field.message_type.name.startswith(_ENVELOPES)
        )
        for field in descriptor.fields
        if field.message_type is not None
    }


def _count(body: bytes, fields: dict[int, _Field]) -> int:
    """Walk the wire form (protobuf.dev, "Encoding") from message to message, and count them.

    What is nested deeper than parsers go never comes into memory, and does not count.

    Raises:
        MalformedError: there are too many.
    """
    most = left = messages_max(len(body))
    envelopes_left = ENVELOPES_MAX
    line = [(fields, 0, len(body), 0)]
    while line:
        fields, position, end, depth = line.pop()
        while position < end:
            tag, position = _varint(body, position, end)
            if tag < _TAG_MIN:
                return (
                    most - left
                )  # field 0: no parser takes the request. Of zeros, 60 MB are 60 kB compressed
            wire_type = tag & 7
            if wire_type == _LENGTH:
                size, position = _varint(body, position, end)
                field = fields.get(tag)
                if field is not None:
                    left -= 1
                    envelopes_left -= field.is_envelope
                    if envelopes_left < 0:
                        raise _too_many_envelopes()
                    if left < 0:
                        raise _too_many_messages(len(body))
                    if size and depth < MESSAGE_DEPTH_MAX:
                        line.append((_fields(field.message), position, min(end, position + size), depth + 1))
                position += size
            elif wire_type == _VARINT:
                _, position = _varint(body, position, end)
            elif wire_type == _FIXED64:
                position += 8
            elif wire_type == _FIXED32:
                position += 4
            # Groups have no length of their own: what is in them is walked over with the rest.
    return most - left


def _varint(body: bytes, position: int, end: int) -> tuple[int, int]:
    """Read a varint; return it and where it ends. Where there is none the message ends."""
    byte = body[position] if position < end else 0
    if byte < 0x80:
        return byte, position + 1
    value = byte & 0x7F
    for shift in range(7, 70, 7):
        position += 1
        byte = body[position] if position < end else 0
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
    return value, end
