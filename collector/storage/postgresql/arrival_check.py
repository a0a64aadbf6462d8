"""The live check of compression on arrival: rows written as the daemon writes them, questions, and rolled back.

It runs on the tables that will be written to, in a transaction of its own for each, in a chunk that holds nothing
else: times long before any that a receiver lets in. Nothing is left of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final

from psycopg import sql

from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.copy_binary import copy_pieces
from collector.storage.postgresql.names import compose
from collector.storage.postgresql.writing import copy_statement, set_local
from collector.storage.rows import Row, sort_rows
from collector.storage.tables import Kind, Table

# 1971-01-01, µs: clear of the chunk boundaries around it for every usual interval, by the seconds used here.
_BEGIN: Final = 31_536_000_000_000
_SECOND: Final = 1_000_000
# Orders of text differ about these: case, punctuation, digits, accents, scripts, beyond 16 bits, prefixes.
_NAMES: Final = (
    "", " ", "-a", "A", "B", "Z", "_", "a", "a b", "a-b", "a.b", "aB", "a_b", "ab", "a\u0301", "a\u00e1", "a1", "a10", "a2",
    "z", "\u00c4", "\u00df", "\u00e4", "\u0131", "\u03a9", "\u65e5\u672c", "\uffff", "\U0001f600",
)  # fmt: skip
_NUMBERS: Final = (-(2**63), -7, -1, 0, 1, 7, 2**63 - 1)
# More than fit into one compressed batch, which holds 1 000; written twice, so that batches overlap.
_TIMES: Final = 8
_COPIES: Final = 2
_SAMPLE: Final[Mapping[Kind, Any]] = {
    Kind.INT16: 0,
    Kind.INT32: 0,
    Kind.INT64: 0,
    Kind.UINT64: 0,
    Kind.FLOAT64: 0.0,
    Kind.NUMERIC: Decimal(0),
    Kind.BOOL: False,
    Kind.TEXT: "",
    Kind.JSON: "{}",
    Kind.UUID: bytes(16),
    Kind.UINT64_ARRAY: (0,),
    Kind.FLOAT64_ARRAY: (0.0,),
}
_TIMEOUTS: Final = {"statement_timeout": "10s", "lock_timeout": "3s"}
_COMPRESSED: Final = """
SELECT coalesce(bool_and(is_compressed), false) FROM timescaledb_information.chunks
WHERE hypertable_schema = %s AND hypertable_name = %s
    AND range_start <= to_timestamp(%s) AND range_end > to_timestamp(%s)
"""


def sample_row(table: Table, time: int, **values: Any) -> Row:
    """A row of `table` that says as little as it may, but for `values` by name of column."""
    return tuple(
        values[column.name]
        if column.name in values
        else time
        if column.kind is Kind.TIME
        else None
        if column.nullable
        else _SAMPLE[column.kind]
        for column in table.columns
    )


def wrong_answers(connection: Connection, schema: str, table: Table, settings: Mapping[str, str]) -> str:
    """Write and ask; return what was wrong, "" if nothing was."""
    copies = [sort_rows(table, list(_rows(table, copy))) for copy in range(_COPIES)]
    written = [row for copy in copies for row in copy]
    with connection.transaction(force_rollback=True):
        set_local(connection, {**_TIMEOUTS, **settings})
        for rows in copies:
            with connection.cursor() as cursor, cursor.copy(copy_statement(schema, table)) as copy:
                for piece in copy_pieces(table, rows):
                    copy.write(piece)
        seconds = _BEGIN / _SECOND
        [[compressed]] = connection.execute(_COMPRESSED, (schema, table.name, seconds, seconds)).fetchall()
        if not compressed:
            return "the server did not compress what it was sent"
        conditions, expected = _questions(table, written)
        counts = connection.execute(
            sql.SQL("SELECT {}").format(
                sql.SQL(", ").join(
                    compose("(SELECT count(*) FROM {table} WHERE {where})", schema, table=table, where=where)
                    for where in conditions
                )
            )
        ).fetchone()
        columns = sql.SQL(", ").join(map(sql.Identifier, table.order_by))
        ordered = connection.execute(
            compose(
                "SELECT {key} FROM {table} WHERE {window} ORDER BY {columns}",
                schema,
                table=table,
                key=_key(table),
                window=_window(),
                columns=columns,
            )
        ).fetchall()
    if counts != tuple(expected):
        return "rows were missing from answers"
    key = itemgetter(*map(table.index, table.order_by))
    return "" if ordered == sorted(map(key, written)) else "answers were not in order"


def _rows(table: Table, copy: int) -> Iterator[Row]:
    lead, *others = table.order_by
    for name in _NAMES:
        for number in _NUMBERS if "series_id" in others else _NUMBERS[:1] * len(_NUMBERS):
            for turn in range(_TIMES):
                time = _BEGIN + (turn * _COPIES + copy) * _SECOND
                yield sample_row(table, time, **{lead: name, "series_id": number})


def _questions(table: Table, written: Sequence[Row]) -> tuple[list[sql.Composable], list[int]]:
    """Conditions that bounds of compressed batches can decide, and how many rows meet each."""
    conditions: list[sql.Composable] = []
    expected: list[int] = []
    lead, at, time_at = table.order_by[0], table.index(table.order_by[0]), table.index("time")

    def ask(text: str, met: Sequence[bool], **values: Any) -> None:
        filled = sql.SQL(text).format(
            lead=sql.Identifier(lead), **{name: _literal(value) for name, value in values.items()}
        )
        conditions.append(sql.SQL("{} AND {}").format(_window(), filled))
        expected.append(sum(met))

    for name in _NAMES:
        ask("{lead} = {name}", [row[at] == name for row in written], name=name)
    for name in _NAMES[:: len(_NAMES) // 4]:
        ask("{lead} >= {name}", [row[at] >= name for row in written], name=name)
        ask("{lead} < {name}", [row[at] < name for row in written], name=name)
    if "series_id" in table.order_by:
        series_at = table.index("series_id")
        for number in _NUMBERS:
            met = [row[at] == "a_b" and row[series_at] == number for row in written]
            ask("{lead} = 'a_b' AND series_id = {number}", met, number=number)
            ask("series_id <= {number}", [row[series_at] <= number for row in written], number=number)
    for turn in range(1, _TIMES * _COPIES, 4):
        time = _BEGIN + turn * _SECOND
        met = [row[at] == "Z" and row[time_at] >= time for row in written]
        ask("{lead} = 'Z' AND time >= to_timestamp({seconds})", met, seconds=time // _SECOND)
        ask("time < to_timestamp({seconds})", [r[time_at] < time for r in written], seconds=time // _SECOND)
    return conditions, expected


def _literal(value: Any) -> sql.Composable:
    return sql.SQL("{}::text").format(sql.Literal(value)) if isinstance(value, str) else sql.Literal(value)


def _window() -> sql.Composable:
    begin, end = _BEGIN // _SECOND, _BEGIN // _SECOND + _TIMES * _COPIES
    return sql.SQL("time >= to_timestamp({}) AND time < to_timestamp({})").format(
        sql.Literal(begin), sql.Literal(end)
    )


def _key(table: Table) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.SQL("(extract(epoch FROM time) * 1000000)::bigint") if name == "time" else sql.Identifier(name)
        for name in table.order_by
    )
