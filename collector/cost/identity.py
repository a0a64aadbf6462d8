"""Deterministic ids: the same inputs give the same id on every machine, so that doing something twice is doing it once.

An id is a UUID of version 8 (RFC 9562, section 5.8) made of the first 16 bytes of a SHA-256 over a canonical form: a
label that says what is identified, then every part with its type and its length, so that no two lists of parts have
the same form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

ID_SIZE: Final = 16  # bytes

Part = str | bytes | int | None | Mapping[str, str]


def identify(label: str, parts: Iterable[Part]) -> bytes:
    """Return the id of what `parts` describe. `label` keeps ids of different things apart."""
    digest = bytearray(hashlib.sha256(canonical((label, *parts))).digest()[:ID_SIZE])
    digest[6] = digest[6] & 0x0F | 0x80  # version 8
    digest[8] = digest[8] & 0x3F | 0x80  # variant of RFC 9562
    return bytes(digest)


def canonical(parts: Iterable[Part]) -> bytes:
    """Return an unambiguous binary form of `parts`: of two different lists it differs."""
    out: list[bytes] = []
    for part in parts:
        match part:
            case None:
                out.append(b"-")
            case str():
                encoded = part.encode()
                out.append(b"t%d:" % len(encoded))
                out.append(encoded)
            case bytes():
                out.append(b"b%d:" % len(part))
                out.append(part)
            case int():
                out.append(b"i%d;" % part)
            case _:
                pairs = canonical(text for pair in sorted(part.items()) for text in pair)
                out.append(b"m%d:" % len(pairs))
                out.append(pairs)
    return b"".join(out)
