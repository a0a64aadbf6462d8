"""Writing dimension rows: which are missing, in which order, and what to do when a series' id is another's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeAlias

from collector.pipeline.memory_plan import UNBOUNDED
from collector.storage import identity
from collector.storage.cache import Cache
from collector.storage.rows import Encoded, Key, Row
from collector.storage.tables import DIMENSIONS, SERIES, Table

# Inserts rows that are not there yet, in a transaction of its own, in the order given (sorted by id: two writers
# in different orders deadlock); returns the digest that is now stored under each series id given.
Insert: TypeAlias = Callable[[Mapping[Table, list[Row]]], Mapping[Key, bytes]]


class DimensionWriter:
    """Remembers, within bounds, what a database holds, and has the rest written. Thread-safe."""

    def __init__(self, *, identities: int = UNBOUNDED.identities) -> None:
        self._lock = threading.Lock()
        # By table and id: the digest of a series, True for what is its own hash.
        self._known: dict[Table, Cache[Key, bytes | bool]] = {
            table: Cache(2 * identities) for table in DIMENSIONS
        }
        self._token = object()

    def forget(self) -> None:
        """Assume nothing about the database any more. To be called when it was reconnected to."""
        with self._lock:
            self._token = object()
            for known in self._known.values():
                known.clear()

    def write(self, encoded: Encoded, insert: Insert) -> Encoded:
        """Have `insert` write the dimensions of `encoded` that may be missing.

        Returns `encoded` as its facts are to be written: with other series ids where ids collided.
        """
        token = self._token
        omission = encoded.omission
        if omission is not None and omission.believed not in (None, token):
            encoded = omission.complete()
        attempts: dict[bytes, int] = {}
        while missing := self._missing(encoded):
            stored = insert(missing)
            self._remember(missing, stored)
            if not any(stored[row[0]] != row[1] for row in missing.get(SERIES, ())):
                break
            if encoded.omission is not None:  # whose id is whose can only be said with all of them at hand
                encoded = encoded.omission.complete()
                continue
            encoded = encoded.with_series_ids(
                {
                    row[0]: _next_id(row, encoded.dimensions[SERIES], attempts)
                    for row in missing.get(SERIES, ())
                    if stored[row[0]] != row[1]
                }
            )
        if encoded.omission is not None:
            encoded.omission.confirm(token)
        return encoded

    def _missing(self, encoded: Encoded) -> dict[Table, list[Row]]:
        missing: dict[Table, list[Row]] = {}
        with self._lock:
            for table, rows in encoded.dimensions.items():
                known = self._known[table]
                new = [
                    row
                    for key, row in rows.items()
                    if known.get(key) != (row[1] if table is SERIES else True)
                ]
                if new:
                    new.sort(key=lambda row: row[0])
                    missing[table] = new
        return missing

    def _remember(self, written: Mapping[Table, list[Row]], stored: Mapping[Key, bytes]) -> None:
        with self._lock:
            for table, rows in written.items():
                known = self._known[table]
                for row in rows:
                    known.put(row[0], stored[row[0]] if table is SERIES else True)


def _next_id(series: Row, in_batch: Mapping[Key, Row], attempts: dict[bytes, int]) -> int:
    digest: bytes = series[1]
    while True:
        attempts[digest] = attempts.get(digest, 0) + 1
        series_id = identity.series_id(digest, attempts[digest])
        holder = in_batch.get(series_id)
        if holder is None or holder[1] == digest:
            return series_id
