"""Finding the items for which a database refuses a batch, so that they take no other with them.

What is refused is halved: a batch by its records, a record by its items, until it is written or is a single item. Of
n items with one bad this takes about 2 log2(n) attempts.

Where the database names the row it stopped at (`RowRefusedError`), few items are sifted instead: the one that is named
is left out and the rest tried again, until it is written. That proves each of them bad, and takes one attempt for each:
the database stops at a bad row or later, never earlier, and of what it had read by then, all but that one is written
in the end. If it names a later row than it means, it goes on to name one before that; then there are the halves.

Never more than 4n attempts: 2n for the halves, n that named a row in vain, n for what sifting begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from collector.model.errors import PermanentError, TelemetryError
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Refused
from collector.storage.rows import Encoded, Row, order_of
from collector.storage.store import RowRefusedError
from collector.storage.tables import FACTS_OF, Table
from collector.wire.split import split

# Of so few items it is worth to know the row of each, which takes the encoder a call.
_SIFTED_MAX: Final = 512
# Each of them has its envelopes for itself then, which may be all but everything there is in a record.
_SIFTED_BYTES_MAX: Final = 16 << 20
# So many are sifted at once, more the next time if few of them were bad, and fewer if many were: for each that is bad
# the others are sent again, and for all of them once more.
_AT_ONCE: Final = 64
_AT_ONCE_MIN: Final = 8
_FEW: Final = 1
_MANY: Final = 6


@dataclass(frozen=True, slots=True)
class _Piece:
    """Items of one record: see `Refused`."""

    record: int
    first: int
    data: Telemetry


@dataclass(frozen=True, slots=True)
class _Item:
    """A piece that is one item, and its only row."""

    piece: _Piece
    table: Table
    row: Row


_Part: TypeAlias = Sequence[_Piece]


def write_what_goes(
    records: Sequence[Telemetry],
    encode: Callable[[Sequence[bytes]], Encoded],
    write: Callable[[Encoded], None],
) -> list[Refused]:
    """Have `write` store `records`, in few parts; return what it refused for ever, in their order.

    An error that no encoder and no store should raise is our bug on these items: they are refused as well, since
    the caller has tried them several times.

    Raises:
        RetryableError: of `write`; what was written before is to be taken back.
    """
    search = _Search(encode, write)
    search.halve_or_sift([_Piece(place, 0, data) for place, data in enumerate(records)])
    return sorted(search.refused, key=lambda one: (one.record, one.first))


class _Search:
    def __init__(
        self, encode: Callable[[Sequence[bytes]], Encoded], write: Callable[[Encoded], None]
    ) -> None:
        self._encode = encode
        self._write = write
        self._at_once = _AT_ONCE
        self.refused: list[Refused] = []

    def halve_or_sift(self, part: _Part) -> None:
        """Write `part`, or what goes of it."""
        error = self._attempt(part)
        if error is None:
            return
        if isinstance(error, RowRefusedError) and _few(part) and (items := self._in_order(part)):
            self._sift_all(items)
        else:
            self._halve(part, error, self.halve_or_sift)

    def _attempt(self, part: _Part) -> PermanentError | None:
        """Write `part` as a whole and return None, or write nothing and return why."""
        try:
            self._write(self._encode([piece.data.payload for piece in part]))
        except PermanentError as error:
            return error
        except (TelemetryError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  see `write_what_goes`
            return PermanentError(f"unexpected {type(error).__name__}: {error}", reason="internal_error")
        return None

    def _refuse(self, pieces: _Part, error: PermanentError) -> None:
        self.refused += [
            Refused(piece.record, piece.first, piece.data, error.reason, str(error)) for piece in pieces
        ]

    # --- halves ---------------------------------------------------------------------------------------------

    def _halve(self, part: _Part, error: PermanentError, write: Callable[[_Part], None]) -> None:
        """`write` the halves of what was refused with `error`; a single item is to blame itself."""
        halves = _halves(part)
        for half in halves:
            write(half)
        if not halves:
            self._refuse(part, error)

    def _only_halve(self, part: _Part) -> None:
        """As `halve_or_sift`, whatever row the database names."""
        error = self._attempt(part)
        if error is not None:
            self._halve(part, error, self._only_halve)

    # --- sifting --------------------------------------------------------------------------------------------

    def _in_order(self, part: _Part) -> list[_Item]:
        """The items of `part`, those of each table in the order of its rows. Nothing if an item is not one row."""
        items = []
        try:
            for piece in part:
                first = piece.first
                for data in split(piece.data, 1):
                    [(table, [row])] = self._encode([data.payload]).facts.items()
                    items.append(_Item(_Piece(piece.record, first, data), table, row))
                    first += data.items
            tables = FACTS_OF[part[0].data.signal]
            items.sort(key=lambda item: (tables.index(item.table), order_of(item.table)(item.row)))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  halving finds out which item it is, and says what is wrong with it
            return []
        return items

    def _sift_all(self, items: list[_Item]) -> None:
        at = 0
        while at < len(items):
            part = items[at : at + self._at_once]
            at += len(part)
            bad = self._sift(part)
            if bad > _MANY:
                self._at_once = max(self._at_once // 2, _AT_ONCE_MIN)
            elif bad <= _FEW:
                self._at_once = min(self._at_once * 2, _SIFTED_MAX)

    def _sift(self, part: list[_Item]) -> int:
        """Write `part` but for the items that the database names; return how many these are."""
        good = list(part)
        named: list[tuple[_Piece, PermanentError]] = []
        passed: dict[Table, int] = {}  # so many rows, all of them still in `good`
        while good:
            error = self._attempt([item.piece for item in good])
            if error is None:
                break
            if (
                not isinstance(error, RowRefusedError)
                or (index := _index(good, error)) is None
                or error.place < passed.get(error.table, 0)
            ):
                self._halve([item.piece for item in part], error, self._only_halve)
                return len(part)
            passed[error.table] = error.place
            named.append((good.pop(index).piece, error))
        for piece, error in named:
            self._refuse([piece], error)
        return len(named)


def _few(part: _Part) -> bool:
    items = sum(piece.data.items for piece in part)
    size_max = sum(piece.data.items * piece.data.size for piece in part)
    return 1 < items <= _SIFTED_MAX and size_max <= _SIFTED_BYTES_MAX


def _index(items: list[_Item], error: RowRefusedError) -> int | None:
    """Which of `items`, in order, is the one whose row is named; None if there is no telling."""
    of_table = [index for index, item in enumerate(items) if item.table is error.table]
    if error.place >= len(of_table):
        return None
    index = of_table[error.place]
    # As text, since NaN is not equal to itself. The store may have written rows in another order, or changed.
    return index if repr(items[index].row) == repr(error.row) else None


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
        halves.append([_Piece(piece.record, first, data)])
        first += data.items
    return halves if len(halves) > 1 else []
