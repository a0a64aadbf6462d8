"""Finding the items for which a database refuses a batch, so that they take no other with them.

What is refused is halved: a batch by its records, a record by its items, until it is written or is a single item. Of
n items with one bad this takes about 2 log2(n) attempts, and never more than 2n.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from collector.model.errors import PermanentError, TelemetryError
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Refused
from collector.storage.rows import Encoded
from collector.wire.split import split


@dataclass(frozen=True, slots=True)
class _Piece:
    """Items of one record: see `Refused`."""

    record: int
    first: int
    data: Telemetry


_Part: TypeAlias = tuple[_Piece, ...]


def write_what_goes(
    records: Sequence[Telemetry],
    encode: Callable[[Sequence[bytes]], Encoded],
    write: Callable[[Encoded], None],
) -> list[Refused]:
    """Have `write` store `records`, in as few parts as possible; return what it refused for ever.

    An error that no encoder and no store should raise is our bug on these items: they are refused as well, since
    the caller has tried them several times.

    Raises:
        RetryableError: of `write`; what was written before is to be taken back.
    """
    refused: list[Refused] = []
    work: deque[_Part] = deque([tuple(_Piece(place, 0, data) for place, data in enumerate(records))])
    while work:
        part = work.popleft()
        try:
            write(encode([piece.data.payload for piece in part]))
        except PermanentError as error:
            reason, message = error.reason, str(error)
        except (TelemetryError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  see above
            reason, message = "internal_error", f"unexpected {type(error).__name__}: {error}"
        else:
            continue
        if halves := _halves(part):
            work.extendleft(reversed(halves))
        else:
            refused += [Refused(piece.record, piece.first, piece.data, reason, message) for piece in part]
    return refused


def _halves(part: _Part) -> list[_Part]:
    """`part` in two; nothing if it is a single item."""
    if len(part) > 1:
        middle = len(part) // 2
        return [part[:middle], part[middle:]]
    [piece] = part
    if piece.data.items < 2:
        return []
    first = piece.first
    halves: list[_Part] = []
    for data in split(piece.data, -(-piece.data.items // 2)):
        halves.append((_Piece(piece.record, first, data),))
        first += data.items
    return halves if len(halves) > 1 else []
