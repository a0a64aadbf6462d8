"""Resource attributes as one text, the form of `OTEL_RESOURCE_ATTRIBUTES`.

OpenTelemetry specification, resource/sdk.md, "Specifying resource information via an environment variable": as
W3C Baggage, without properties.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_attributes(text: str) -> dict[str, str]:
    """Read `key=value,key=value`, percent-decoded.

    Raises:
        ValueError: a part is not `key=value`, or its encoding is broken. The specification wants the whole text
            discarded then.
    """
    attributes: dict[str, str] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key:
            raise ValueError(f"{part.strip()!r} is not key=value")
        if _STRAY_PERCENT.search(key + value):
            raise ValueError(f"{part.strip()!r} has a '%' that is no percent-encoding; write it as %25")
        try:
            key, value = unquote(key, errors="strict"), unquote(value, errors="strict")
        except UnicodeDecodeError:
            raise ValueError(f"{part.strip()!r} is not UTF-8 when percent-decoded") from None
        if "\0" in key + value:
            raise ValueError(f"{part.strip()!r} has a NUL character, which no store can keep")
        attributes[key] = value
    return attributes
