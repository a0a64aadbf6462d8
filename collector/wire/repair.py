"""Rewrite a protobuf body that the parser refuses although it is well formed.

There are two such cases: strings that are not UTF-8, and messages nested deeper than the parser goes. One such
attribute must not cost the whole request.

Walks the wire form itself (protobuf.dev, "Encoding") by the descriptors, copies what is in order and changes
only these two. What is not well formed raises, with the path and the offset.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from collector.wire.errors import FieldViolation, MalformedError
from collector.wire.rules import Normalisation

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

# Nested messages below the request that protobuf parsers take: upb, C++ and Java stop at 100.
MESSAGE_DEPTH_MAX: Final = 100

_VARINT: Final = 0
_FIXED64: Final = 1
_LENGTH: Final = 2
_START_GROUP: Final = 3
_END_GROUP: Final = 4
_FIXED32: Final = 5


def repair(descriptor: Descriptor, body: bytes) -> tuple[bytes, Counter[str]]:
    """Return `body` with valid strings and bounded depth, and what was changed how often.

    A byte sequence that is not UTF-8 becomes U+FFFD. A message nested deeper than `MESSAGE_DEPTH_MAX` is left
    out: the list or map that held it stays, without it.

    Raises:
        MalformedError: `body` is not a protobuf message at all.
    """
    walk = _Walk(body)
    try:
        repaired = walk.message(_fields(descriptor), 0, len(body), 0)
    except _CorruptError as error:
        path = ".".join(reversed(error.path))
        where = f"at byte {error.offset}" + (f", in {path}" if path else "")
        raise MalformedError(
            f"the body is not a valid {descriptor.name}: {error.problem} {where}",
            field_violations=[FieldViolation(path, f"{error.problem} at byte {error.offset}")],
        ) from None
    return b"".join(repaired), walk.changes


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    is_string: bool
    message: Descriptor | None


@cache
def _fields(descriptor: Descriptor) -> dict[int, _Field]:
    """The length-delimited fields of a message that have to be looked into, by number."""
    fields = {}
    for field in descriptor.fields:
        is_string = field.type == field.TYPE_STRING
        if is_string or field.message_type is not None:
            fields[field.number] = _Field(field.name, is_string, field.message_type)
    return fields


class _CorruptError(Exception):
    """The wire form is broken at `offset`; `path` grows outwards while it is raised through."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.offset = offset
        self.path: list[str] = []


class _Walk:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self.changes: Counter[str] = Counter()

    def message(self, fields: dict[int, _Field], start: int, end: int, depth: int) -> list[bytes]:
        """Return the pieces that the message in `[start, end)` consists of, repaired.

        Recursion is bounded by `MESSAGE_DEPTH_MAX`.
        """
        body = self._body
        pieces = []
        copied = position = start  # everything before `copied` is in `pieces`
        while position < end:
            tag_at = position
            tag, position = self._varint(position, end)
            field = fields.get(tag >> 3) if tag & 7 == _LENGTH else None
            if field is None:
                position = self._skip(tag, position, end)
                continue
            length, value_at = self._varint(position, end)
            position = value_at + length
            if position > end:
                raise _corrupt("a field is longer than the message it is in", tag_at, field.name)
            replacement = self._replacement(field, value_at, position, depth)
            if replacement is not None:
                pieces.append(body[copied:tag_at])
                if replacement:
                    pieces.append(_encoded(tag))
                    pieces.extend(replacement)
                copied = position
        pieces.append(body[copied:end])
        return pieces

    def _replacement(self, field: _Field, start: int, end: int, depth: int) -> list[bytes] | None:
        """Length and content to put in place of a field; None if it stays, an empty list if it has to go."""
        if field.message is not None:
            if depth == MESSAGE_DEPTH_MAX:
                self.changes[Normalisation.TOO_DEEP] += 1
                return []
            changes_before = self.changes.total()
            try:
                pieces = self.message(_fields(field.message), start, end, depth + 1)
            except _CorruptError as error:
                error.path.append(field.name)
                raise
            if self.changes.total() == changes_before:
                return None
            return [_encoded(sum(map(len, pieces))), *pieces]
        content = self._body[start:end]
        try:
            content.decode()
        except UnicodeDecodeError:
            self.changes[Normalisation.INVALID_UTF8] += 1
            content = content.decode(errors="replace").encode()
            return [_encoded(len(content)), content]
        return None

    def _skip(self, tag: int, position: int, end: int) -> int:
        """Return where the field with `tag` ends. Groups (long deprecated, never ours) may be nested: counted."""
        groups = 0
        start = position
        while True:
            number, wire_type = tag >> 3, tag & 7
            if not 0 < number < 1 << 29:
                raise _CorruptError(f"{number} is not a field number", start)
            if wire_type == _VARINT:
                _, position = self._varint(position, end)
            elif wire_type == _FIXED64:
                position += 8
            elif wire_type == _FIXED32:
                position += 4
            elif wire_type == _LENGTH:
                length, position = self._varint(position, end)
                position += length
            elif wire_type == _START_GROUP:
                groups += 1
            elif wire_type == _END_GROUP and groups:
                groups -= 1
            else:
                raise _CorruptError(f"field {number} has wire type {wire_type}", start)
            if position > end:
                raise _CorruptError(f"field {number} is longer than the message it is in", start)
            if not groups:
                return position
            tag, position = self._varint(position, end)

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """Read a varint; return it and where it ends."""
        value = shift = 0
        start = position
        while position < end:
            byte = self._body[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7
            if shift == 70:
                raise _CorruptError("a number has more than 10 bytes", start)
        raise _CorruptError("the message ends within a number", start)


def _corrupt(problem: str, offset: int, name: str) -> Any:
    error = _CorruptError(problem, offset)
    error.path.append(name)
    return error


def _encoded(number: int) -> bytes:
    """`number` as a varint."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
