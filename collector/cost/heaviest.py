"""The single requests that weigh most, of each part, and the rest in one: the same in whatever order they come."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappush, heappushpop
from typing import Final, NamedTuple

ID_SIZE: Final = 24  # bytes: of a trace and a span


class Request(NamedTuple):
    """One request. Of two that weigh the same, the smaller id counts as the heavier."""

    weight: int
    inverse: int  # grows as the id shrinks
    spans: int
    values: tuple[str, ...]

    @property
    def ids(self) -> tuple[bytes, bytes]:
        """Its trace id and span id."""
        both = (-self.inverse).to_bytes(ID_SIZE, "big")
        return both[:16], both[16:]


class Heaviest:
    """Keeps at most so many requests of each part, in memory for just those."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, list[Request]] = {}
        self._rest: dict[str, tuple[int, int]] = {}

    def add(self, part: str, ids: bytes, weight: int, spans: int, values: tuple[str, ...]) -> None:
        """Add a request, once.

        Args:
            part: Which one.
            ids: Trace id and span id, 24 bytes.
            weight: Not negative.
            spans: How many entries that is.
            values: Its attributes, as the caller likes.
        """
        request = Request(weight, -int.from_bytes(ids, "big"), spans, values)
        kept = self._kept.setdefault(part, [])
        if len(kept) < self._most:
            heappush(kept, request)
            return
        least = heappushpop(kept, request)
        known = self._rest.get(part, (0, 0))
        self._rest[part] = (known[0] + least.weight, known[1] + least.spans)

    def requests(self) -> Iterator[tuple[str, Request]]:
        """Yield those that are kept, by part."""
        for part in sorted(self._kept):
            for request in sorted(self._kept[part], reverse=True):
                yield part, request

    def rest(self) -> Iterator[tuple[str, int, int]]:
        """Yield (part, weight, spans) of what is left."""
        for part in sorted(self._rest):
            yield part, *self._rest[part]
