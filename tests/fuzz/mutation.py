"""Damaging encoded OTLP requests: by bytes, and by fields, so that damage deep inside has the right lengths around it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import Descriptor

# What one change may add.
_SIZE_MAX: Final = 20_000

_VARINTS: Final = (
    b"\x00", b"\x01", b"\x7f", b"\x80\x01", b"\x80\x00", b"\xff\xff\xff\xff\x07", b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x10", b"\xff" * 9 + b"\x01", b"\xff" * 9 + b"\x02", b"\xff" * 9 + b"\x7f", b"\x80" * 10,
    b"\x80" * 9 + b"\x00", b"\xff" * 10 + b"\x01", b"\x80",
)  # fmt: skip
_TEXTS: Final = (
    b"", b"\0", b"a\0b", b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "é€😀".encode(), b"x" * 8,
    b"x" * 7 + b"\xe2", b"x" * 6 + b"\xe2\x82", b"\xf0\x9f\x98", b"key", b"x" * 300,
)  # fmt: skip
_IDS: Final = (b"", bytes(8), bytes(16), b"\1" * 8, b"\1" * 16, b"\1" * 7, b"\1" * 17, b"\1" * 32)
_BIT_PATTERNS: Final = (
    bytes(8), b"\x01" + bytes(7), b"\xff" * 8, bytes(7) + b"\x80", b"\xff" * 7 + b"\x7f", bytes(6) + b"\xf0\x7f",
    bytes(6) + b"\xf8\x7f", bytes(6) + b"\xf0\xff", bytes(6) + b"\xf0\x3f",
)  # fmt: skip


@dataclass(slots=True)
class _Field:
    """A field on the wire: its tag as it stands, and its value; `fields` instead where the value is a message."""

    tag: bytes
    wire_type: int
    value: bytes = b""
    fields: list[_Field] | None = None
    message: Descriptor | None = None

    @property
    def size(self) -> int:
        return len(self.tag) + len(self.value)

    def flat(self) -> _Field:
        """The same field, its value as bytes."""
        if self.fields is None:
            return self
        return _Field(self.tag, self.wire_type, encoded(self.fields))

    def encoded(self) -> bytes:
        if self.fields is not None:
            content = encoded(self.fields)
            return self.tag + varint(len(content)) + content
        if self.wire_type == 2:
            return self.tag + varint(len(self.value)) + self.value
        return self.tag + self.value


def encoded(fields: list[_Field]) -> bytes:
    """The wire form of a message."""
    return b"".join(each.encoded() for each in fields)


def varint(number: int) -> bytes:
    """`number` in base 128."""
    content = b""
    while number > 0x7F:
        content += bytes([number & 0x7F | 0x80])
        number >>= 7
    return content + bytes([number])


def delimited(number: int, content: bytes) -> bytes:
    """A field whose value has its length in front."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _decoded(body: bytes, descriptor: Descriptor) -> list[_Field]:
    """The fields of a well-formed message without groups."""
    known = {each.number: each for each in descriptor.fields}
    fields = []
    at = 0
    while at < len(body):
        start = at
        tag, at = _read_varint(body, at)
        each = _Field(body[start:at], tag & 7)
        start = at
        if each.wire_type == 2:
            size, start = _read_varint(body, at)
            at = start + size
        elif each.wire_type == 0:
            _, at = _read_varint(body, at)
        else:
            at += 8 if each.wire_type == 1 else 4
        each.value = body[start:at]
        declared = known.get(tag >> 3)
        if each.wire_type == 2 and declared is not None and declared.message_type is not None:
            each.message = declared.message_type
            each.fields = _decoded(each.value, declared.message_type)
        fields.append(each)
    return fields


@dataclass(slots=True)
class Mutator:
    """Draws damaged requests. `seeds` are well-formed requests of `descriptor`."""

    rng: random.Random
    descriptor: Any
    seeds: list[bytes]

    def draw(self) -> bytes:
        """One input: a seed with one to five changes, by fields, by bytes, or both."""
        body = self.rng.choice(self.seeds)
        kind = self.rng.random()
        if kind < 0.75:
            body = self._by_fields(body)
        if kind >= 0.55:
            body = self._by_bytes(body)
        return body

    # --- by fields ------------------------------------------------------------------------------------------

    def _by_fields(self, body: bytes) -> bytes:
        tree = _decoded(body, self.descriptor)
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            lists = [tree]
            for fields in lists:
                lists.extend(each.fields for each in fields if each.fields is not None)
            fields = self.rng.choice([fields for fields in lists if fields] or [tree])
            if fields:
                self._change(fields, self.rng.randrange(len(fields)), lists)
        return encoded(tree)

    def _change(self, fields: list[_Field], index: int, lists: list[list[_Field]]) -> None:
        # Copies are of bytes: a field that was put into itself would have no end.
        target = fields[index].flat()
        changes: tuple[Callable[[], object], ...] = (
            lambda: fields.pop(index),
            lambda: fields.insert(self.rng.randrange(len(fields) + 1), target),
            lambda: fields.extend(
                [target] * min(self.rng.choice((2, 20, 130)), 1 + _SIZE_MAX // target.size)
            ),
            lambda: self.rng.shuffle(fields),
            lambda: fields.append(self.rng.choice(self.rng.choice(lists) or [target]).flat()),
            lambda: fields.__setitem__(index, self._retagged(target)),
            lambda: fields.__setitem__(index, self._revalued(target)),
            lambda: fields.__setitem__(index, self._revalued(target)),
            lambda: fields.insert(index, self._drawn_field()),
            lambda: fields.__setitem__(index, self._nested(target)),
        )
        self.rng.choice(changes)()

    def _retagged(self, target: _Field) -> _Field:
        number = self.rng.choice((0, 1, 2, 3, 4, 5, 8, 11, 15, 16, 17, 100, 2**29 - 1, 2**29))
        wire_type = self.rng.choice((target.wire_type, self.rng.randrange(8)))
        tag = varint(number << 3 | wire_type)
        if self.rng.random() < 0.1:
            tag = tag[:-1] + bytes([tag[-1] | 0x80, 0])  # longer than it had to be
        return _Field(tag, wire_type, target.value if target.fields is None else encoded(target.fields))

    def _revalued(self, target: _Field) -> _Field:
        if target.wire_type == 0:
            value = self.rng.choice(_VARINTS)
        elif target.wire_type == 1:
            value = self.rng.choice(_BIT_PATTERNS)
        elif target.wire_type == 2:
            drawn = bytes(self.rng.randrange(256) for _ in range(self.rng.randrange(24)))
            value = self.rng.choice((*_TEXTS, *_IDS, *_BIT_PATTERNS, b"".join(_BIT_PATTERNS), drawn))
        else:
            value = self.rng.choice((bytes(4), b"\xff" * 4, b"", b"\x01"))
        return _Field(target.tag, target.wire_type, value)

    def _drawn_field(self) -> _Field:
        wire_type = self.rng.choice((0, 1, 2, 2, 3, 4, 5))
        number = self.rng.choice((*range(1, 18), 100))
        return self._revalued(_Field(varint(number << 3 | wire_type), wire_type))

    def _nested(self, target: _Field) -> _Field:
        """A value in lists and maps, up to deeper than anything goes."""
        value = encoded([target])
        for _ in range(self.rng.choice((1, 5, 15, 16, 17, 40, 70))):
            if self.rng.random() < 0.5:
                value = delimited(5, delimited(1, value))
            else:
                value = delimited(6, delimited(1, delimited(1, b"k") + delimited(2, value)))
        return _Field(target.tag, 2, value) if target.wire_type == 2 else target

    # --- by bytes -------------------------------------------------------------------------------------------

    def _by_bytes(self, body: bytes) -> bytes:
        changed = bytearray(body)
        for _ in range(self.rng.choice((1, 1, 2, 3, 5))):
            at = self.rng.randrange(len(changed) + 1)
            match self.rng.randrange(7):
                case 0 if at < len(changed):
                    changed[at] ^= 1 << self.rng.randrange(8)
                case 1 if at < len(changed):
                    changed[at] = (changed[at] + self.rng.choice((-1, 1, 16, 127))) & 0xFF
                case 2:
                    changed[at : at + self.rng.randrange(9)] = b""
                case 3:
                    changed[at:at] = self.rng.choice((*_VARINTS, *_TEXTS, *_BIT_PATTERNS))
                case 4:
                    other = self.rng.choice(self.seeds)
                    begin = self.rng.randrange(len(other) + 1)
                    changed[at:] = other[begin : begin + self.rng.randrange(400)]
                case 5:
                    piece = changed[at : at + self.rng.randrange(60)]
                    to = self.rng.randrange(len(changed) + 1)
                    changed[to:to] = piece
                case 6:
                    del changed[at:]
        return bytes(changed)
