"""How rows of telemetry are stored as they arrive: compressed by the COPY itself where TimescaleDB can do that, else as rows.

Compressing a COPY (`timescaledb.enable_direct_compress_copy`) costs the server a fraction of storing rows, and takes
a fraction of the room, at once. Two of its switches are promises about order that nobody checks:

* `client_sorted` promises the order of everything that will ever be in a chunk. Batches overlap, so it is never
  true: it is always off, whatever the server's own setting is.
* `sort_batches` off promises the order of the rows of this COPY, which the writer has sorted. The server takes the
  bounds of a compressed batch from its first and last row: were its order another, rows would be missing from
  answers without an error. So it is off only where `arrival_check` has seen right answers on this server, from
  these tables; else the server sorts, which costs it a tenth to a third more.

Costs always go the way of rows (`ledger`): they are few, and each is looked for before it is stored.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from collector.storage.postgresql.arrival_check import wrong_answers
from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.options import Layout, StoreOptions
from collector.storage.postgresql.schema import Database
from collector.storage.tables import TELEMETRY_FACTS, Table

# A compressed batch costs about a kilobyte and a third of a millisecond, however few its rows: below this,
# storing rows is cheaper, and takes little more room. The policy compresses them later.
COMPRESSED_ROWS_MIN: Final = 20

_SWITCH: Final = "timescaledb.enable_direct_compress_copy"
_SORT: Final = f"{_SWITCH}_sort_batches"
_CLIENT_SORTED: Final = f"{_SWITCH}_client_sorted"

_SERVER: Final = """
SELECT pg_postmaster_start_time(), (SELECT count(*) FROM pg_settings WHERE name = ANY(%s))
"""
# A chunk keeps the settings that its table had when it was made.
_ORDERS: Final = """
SELECT relname, coalesce(segmentby, ''), coalesce(orderby, '')
FROM (
    SELECT hypertable, segmentby, orderby FROM timescaledb_information.hypertable_compression_settings
    UNION
    SELECT hypertable, segmentby, orderby FROM timescaledb_information.chunk_compression_settings
) AS settings
JOIN pg_class ON pg_class.oid = hypertable
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)
ORDER BY 1, 2, 3
"""


class Way(enum.Enum):
    """How the rows of one COPY are stored; the value is for people."""

    PRESORTED = "compressed on arrival"
    SORTED_BY_SERVER = "compressed on arrival, sorted by the server"
    ROWS = "as rows"


_SETTINGS: Final[Mapping[Way, Mapping[str, str]]] = {
    Way.PRESORTED: {_SWITCH: "on", _SORT: "off", _CLIENT_SORTED: "off"},
    Way.SORTED_BY_SERVER: {_SWITCH: "on", _SORT: "on", _CLIENT_SORTED: "off"},
    Way.ROWS: {_SWITCH: "off"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """The way of each fact table's rows on one server. `reason`: why it is not the best one; "" if it is.

    `switched`: the server has the switches. `evidence`: what the decision was made from; the same again means
    that it need not be made again.
    """

    ways: Mapping[Table, Way] = field(default_factory=dict)
    reason: str = ""
    switched: bool = False
    evidence: Any = None

    @property
    def description(self) -> str:
        """For people."""
        words = {way: [t.name for t in TELEMETRY_FACTS if self.ways.get(t, Way.ROWS) is way] for way in Way}
        used = {way: names for way, names in words.items() if names}
        if len(used) == 1:
            described = next(iter(used)).value
        else:
            described = "; ".join(f"{', '.join(names)} {way.value}" for way, names in used.items())
        return f"{described} ({self.reason})" if self.reason else described

    def steps(self, rows: Mapping[Table, int]) -> list[tuple[Table, Mapping[str, str]]]:
        """The tables that get `rows`, in the order to write them, and the parameters to set before each."""
        ways = {table: self._way(table, count) for table, count in rows.items()}
        steps: list[tuple[Table, Mapping[str, str]]] = []
        current = None
        for way in Way:
            for table in (table for table, chosen in ways.items() if chosen is way):
                steps.append((table, _SETTINGS[way] if self.switched and way is not current else {}))
                current = way
        return steps

    def _way(self, table: Table, rows: int) -> Way:
        return self.ways.get(table, Way.ROWS) if rows >= COMPRESSED_ROWS_MIN else Way.ROWS


def find_arrival(
    connection: Connection, database: Database, options: StoreOptions, known: Arrival | None
) -> Arrival:
    """Find the best way that gives right answers. `known`: what was found before, on a connection since lost.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    if database.layout is not Layout.HYPERTABLES or not database.edition.full:
        reason = "compression needs TimescaleDB's full edition" if database.edition.timescaledb else ""
        return Arrival(reason=reason)
    [(started, switches)] = connection.execute(_SERVER, ([_SWITCH, _SORT, _CLIENT_SORTED],)).fetchall()
    if switches < len(_SETTINGS):
        return Arrival(reason=f"TimescaleDB {database.edition.timescaledb} cannot compress a COPY")
    if not options.compress_on_arrival:
        return Arrival(reason="on_arrival is off", switched=True)
    found = connection.execute(_ORDERS, (options.schema,)).fetchall()
    evidence = (started, database.edition, options.schema, tuple(found))
    if known is not None and known.evidence == evidence:
        return known
    orders: dict[str, set[tuple[str, str]]] = {}
    for name, segment_by, order_by in found:
        orders.setdefault(name, set()).add((segment_by, order_by.replace('"', "")))
    ways: dict[Table, Way] = {}
    reasons: dict[str, None] = {}
    certain = True
    for table in TELEMETRY_FACTS:
        try:
            ways[table], reason = _best_way(connection, options.schema, table, orders.get(table.name, set()))
        except psycopg.Error as error:
            if connection.closed:
                raise
            # Not allowed, or not in time. Nothing is known against compressing, but trust needs proof.
            ways[table], certain = Way.SORTED_BY_SERVER, False
            reason = f"the order could not be checked: {str(error).partition(chr(10))[0]}"
        if reason:
            reasons[reason] = None
    return Arrival(
        ways=ways, reason="; ".join(reasons), switched=True, evidence=evidence if certain else None
    )


def _best_way(
    connection: Connection, schema: str, table: Table, orders: set[tuple[str, str]]
) -> tuple[Way, str]:
    if not orders:
        return Way.ROWS, f"{table.name} has no compression"
    reason = ""
    for way in (Way.PRESORTED, Way.SORTED_BY_SERVER):
        if way is Way.PRESORTED and orders != {("", ",".join(table.order_by))}:
            reason = f"{table.name} is compressed in another order than it is written in"
            continue
        wrong = wrong_answers(connection, schema, table, _SETTINGS[way])
        if not wrong:
            return way, reason
        reason = f"{table.name}: {wrong}"
    return Way.ROWS, reason
