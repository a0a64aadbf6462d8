"""`LedgerFeed`: what has changed in a ledger, by minutes, for whoever passes it on. Nothing is left out, whatever ends.

Runs, imports and reconciliations write, with their rows and in the same transaction, which minutes these are in (`book`). How
far a feed has come is kept in the same database. So it does not matter which process wrote, or what ended when: a minute
is given until its reader has asked for the next one. It may be given twice, and more may be in it than has changed;
to take a record twice changes nothing (`storage.ledger`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from collector.accounting.book import Book, minute_of, minute_queue, minute_queues
from collector.cost.calendar import MINUTE_NS
from collector.cost.record import Period
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.storage.decode import decode
from collector.storage.rows import Encoded
from collector.storage.store import Store
from collector.storage.tables import COST_ORIGINS, POSITIONS

_NOTHING: Final = Encoded(signal=Signal.COSTS, items=0, dimensions={}, facts={})


class LedgerFeed:
    """Of an open store. `reader`: whose place it is; each has its own, those of one name share it."""

    def __init__(self, store: Store, reader: str) -> None:
        self._store = store
        self._book = Book(store)
        self.id: Final[UUID] = uuid5(NAMESPACE_URL, f"collector:cost-ledger:{reader}")

    def minutes(self) -> Iterator[Period]:
        """Yield every minute that has changed; to ask for the next one says that this one has been passed on.

        A reader that comes for the first time is given all that there is.

        Raises:
            QueryError, RetryableError: of the store.
        """
        place, page = self._store.position(self.id), self._book.page()
        if place is None:
            yield from self._all()
            self._keep(0, page)
            return
        if page == place:
            return
        for changed_on, minutes in groupby(self._changed_after(place), key=lambda found: found[1]):
            for minute, _ in minutes:
                yield minute
            place = self._keep(place, changed_on)
        if place < page:
            self._keep(place, page)

    def read(self, minute: Period) -> Telemetry:
        """Everything whose charge period begins in `minute`, charges before their parts."""
        read = self._store.read(
            Signal.COSTS, start_unix_nano=minute.start_unix_nano, end_unix_nano=minute.end_unix_nano
        )
        message = decode(Signal.COSTS, read.facts, read.dimensions)
        return Telemetry(Signal.COSTS, message.SerializeToString(), read.items)

    def _changed_after(self, place: int) -> list[tuple[Period, int]]:
        lowest, highest = (_parameter(self._store, queue) for queue in minute_queues())
        rows = self._store.query(
            f"SELECT queue_id, position FROM {POSITIONS.name} WHERE position > %(place)s "  # noqa: S608  a constant
            "AND queue_id >= %(lowest)s AND queue_id <= %(highest)s ORDER BY position, queue_id",
            {"place": place, "lowest": lowest, "highest": highest},
        ).rows
        return [(minute_of(_uuid(queue_id)), position) for queue_id, position in rows]

    def _all(self) -> Iterator[Period]:
        number = (
            f"time / {MINUTE_NS // 1000}"
            if self._store.dialect == "sqlite"
            else "floor(extract(epoch FROM time) / 60)::bigint"
        )
        for (minute,) in self._store.query(
            f"SELECT DISTINCT {number} AS minute FROM {COST_ORIGINS.name} ORDER BY 1"  # noqa: S608  constants
        ).rows:
            yield minute_of(minute_queue(minute * MINUTE_NS))

    def _keep(self, before: int, place: int) -> int:
        self._store.write(_NOTHING, queue_id=self.id, start=before, end=place)
        return place


def _parameter(store: Store, queue_id: UUID) -> UUID | bytes:
    return queue_id.bytes if store.dialect == "sqlite" else queue_id


def _uuid(stored: UUID | bytes) -> UUID:
    return UUID(bytes=stored) if isinstance(stored, bytes) else stored
