"""Header blocks: decoded with what the client's table remembers, written without any state (RFC 7541)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import hpack

Fields = tuple[tuple[bytes, bytes], ...]

# `:status 200` in the static table (appendix A).
_STATUS_200: Final = b"\x88"
# A block of 500 indices into the table is a request of 500 fields, and takes 5 ms. Real ones have about ten.
FIELDS_MAX: Final = 128
# Clients repeat themselves: most blocks are a few indices into a table that has not changed.
_REMEMBERED_MAX: Final = 8 * 1024  # bytes of memory, roughly, for each connection: about five requests
_FIELD_MEMORY: Final = 128


class BlockError(Exception):
    """A header block that cannot be decoded, or is too large. The connection cannot go on: its table is lost."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


class BlockReader:
    """Decodes the header blocks of one connection, in the order in which they arrive."""

    def __init__(self, list_size_max: int) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=list_size_max)
        self._remembered: dict[bytes, Fields] = {}
        self._remembered_size = 0
        self.work = 0  # so far: each field, and each 64 bytes of a block, is some 10 µs

    def read(self, block: bytes) -> Fields:
        """Return the fields of `block`, names and values as sent.

        Raises:
            BlockError: see there.
        """
        known = self._remembered.get(block)
        if known is not None:
            return known
        entries = self._decoder.header_table.dynamic_entries
        count, newest = len(entries), entries[0] if entries else None
        try:
            decoded = self._decoder.decode(block, raw=True)
            fields = tuple((bytes(name), bytes(value)) for name, value in decoded)
        except hpack.OversizedHeaderListError as error:
            raise BlockError(str(error), too_large=True) from None
        except hpack.HPACKError as error:
            raise BlockError(str(error)[:200]) from None
        self.work += len(fields) + len(block) // 64
        if len(fields) > FIELDS_MAX:
            raise BlockError(f"a header of more than {FIELDS_MAX} fields", too_large=True)
        # A block that changes the table, or its size (section 6.3), means something else the next time; and so may
        # all others.
        changed = len(entries) != count or (entries[0] if entries else None) is not newest
        if changed or not block or block[0] >> 5 == 1:
            self._forget()
        elif (size := 2 * len(block) + _FIELD_MEMORY * len(fields)) <= _REMEMBERED_MAX:
            if self._remembered_size + size > _REMEMBERED_MAX:
                self._forget()  # what never comes again is not to keep out what does
            self._remembered[block] = fields
            self._remembered_size += size
        return fields

    def _forget(self) -> None:
        self._remembered.clear()
        self._remembered_size = 0


def write_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode fields as literals that nobody has to remember (section 6.2.2)."""
    out = bytearray()
    for name, value in fields:
        out.append(0)
        _write_text(out, name)
        _write_text(out, value)
    return bytes(out)


def write_response(status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The same behind a `:status`."""
    begin = _STATUS_200 if status == 200 else write_fields([(b":status", b"%d" % status)])
    return begin + write_fields(fields)


def _write_text(out: bytearray, text: bytes) -> None:
    size = len(text)  # section 5.1, prefix of 7 bits; no Huffman code
    if size < 127:
        out.append(size)
    else:
        out.append(127)
        size -= 127
        while size > 127:
            out.append(size & 127 | 128)
            size >>= 7
        out.append(size)
    out += text
