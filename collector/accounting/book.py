"""`Book`: the ledger in a store, read and written by one writer at a time.

Whoever writes says which page he has read. If somebody has written meanwhile, nothing of it is stored, and he reads
again: so what a writer replaces is what he has seen, even where a lock was lost. The page is the position of a queue
that only this module knows, and is stored in the transaction of the rows. So is, for each minute in which charges begin,
the page that changed it last: what `feed` reads.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from collector.accounting.errors import ConcurrentWriterError
from collector.cost.calendar import MINUTE_NS
from collector.cost.identity import identify
from collector.cost.protobuf import encode_request
from collector.cost.record import CostAttributionRecord, Level, Period
from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.storage.decode_costs import cost_records
from collector.storage.encoding import payload_encoder
from collector.storage.migrations import VERSION_TABLE
from collector.storage.store import Store

_MINUTES: Final[UUID] = UUID("c057c057-c057-8057-8000-000000000000")  # the minute in which 1970 began
# Before each attempt. A large bill takes the database a few seconds.
_PAUSES_S: Final = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0)


class Book:
    """The ledger in an open store."""

    QUEUE: Final[UUID] = uuid5(NAMESPACE_URL, "collector:cost-ledger")  # whose position is the page

    def __init__(self, store: Store) -> None:
        self._store = store
        self._encoder = payload_encoder(Signal.COSTS)

    def page(self) -> int:
        """How often it was written to: to be asked before reading what `write` shall replace."""
        return self._store.position(self.QUEUE) or 0

    def pages(self) -> Iterator[int]:
        """Yield the page for one attempt to write after the other, with a pause for the other writer to end.

        Raises:
            ConcurrentWriterError: every time somebody else has written, or still does.
        """
        for pause_s in _PAUSES_S:
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  so that two do not meet again
            yield self.page()
        raise ConcurrentWriterError("somebody else writes costs all the time: try again when it has ended")

    def ledger(self) -> bytes:
        """Which one it is: for the ids of what runs make in it (`cost.rows`). The same for all that use the database.

        It is when its schema was made, to the microsecond: that comes along when a database is copied or restored.
        """
        made = self._store.query(f"SELECT min(applied_at) FROM {VERSION_TABLE}").rows[0][0]  # noqa: S608  a constant
        text = made.astimezone(UTC).isoformat() if isinstance(made, datetime) else str(made)
        return identify("ledger", [text])

    def read(self, period: Period) -> list[CostAttributionRecord]:
        """Return every record whose charge period begins in `period`, of all levels, origins first."""
        return cost_records(
            self._store.read(
                Signal.COSTS, start_unix_nano=period.start_unix_nano, end_unix_nano=period.end_unix_nano
            )
        )

    def write(self, records: Sequence[CostAttributionRecord], page: int) -> bool:
        """Store `records` in one transaction; False, and nothing is stored, if `page` is not the last one any more."""
        encoded = self._encoder.encode([encode_request(records)])
        minutes = {minute_queue(record.charge.charge_period.start_unix_nano) for record in records}
        try:
            return self._store.write(encoded, queue_id=self.QUEUE, start=page, end=page + 1, also=minutes)
        except RetryableError as error:
            if error.reason != "position":
                raise
            return False


def minute_queue(unix_nano: int) -> UUID:
    """The queue whose position is the page that last changed the minute in which this instant is.

    It is a number, so that all minutes can be asked for at once: a UUID of version 8 (RFC 9562), whose last 62 bits count
    minutes since 1970.
    """
    return UUID(int=_MINUTES.int | (unix_nano // MINUTE_NS))


def minute_of(queue_id: UUID) -> Period:
    """The minute that `minute_queue` has named so."""
    start = (queue_id.int - _MINUTES.int) * MINUTE_NS
    return Period(start, start + MINUTE_NS)


def minute_queues() -> tuple[UUID, UUID]:
    """The first and the last of which a store can be asked (`Store.read`)."""
    return minute_queue(0), minute_queue(2**63 - 1 - MINUTE_NS)


def leaves(records: Iterable[CostAttributionRecord]) -> Iterator[CostAttributionRecord]:
    """Yield the records that have no parts among `records`: together they are everything once."""
    listed = list(records)
    divided = {record.parent_record_id for record in listed if record.level is not Level.ORIGIN}
    yield from (record for record in listed if record.record_id not in divided)
