"""The little in which the databases differ when they are asked, both forms side by side.

All SQL in this package is put together from texts written here and in its neighbours. What a caller gives is
always a parameter: `name` below is the name of one, without the `%(…)s` around it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from collector.query.when import EPOCH, TIME_MAX, Window
from collector.storage.values import double_of, parse_json

_MICROSECOND: Final = timedelta(microseconds=1)
_UINT64_MASK: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Dialect:
    """How SQLite or PostgreSQL says it. SQLite: times are integers, ids BLOBs, arrays JSON, NaN the text `NaN`."""

    sqlite: bool

    # --- parameters ---------------------------------------------------------------------------------------

    def time(self, microseconds: int) -> Any:
        """A time, for a column of kind TIME."""
        return microseconds if self.sqlite else EPOCH + microseconds * _MICROSECOND

    def integers(self, values: Sequence[int]) -> Any:
        """Integers, for `among`."""
        return json.dumps(values) if self.sqlite else list(values)

    def steps(self, origin_us: int, step_us: int) -> dict[str, Any]:
        """The parameters `origin` and `step` of `bucket`."""
        return {"origin": self.time(origin_us), "step": step_us if self.sqlite else step_us * _MICROSECOND}

    # --- expressions --------------------------------------------------------------------------------------

    def among(self, column: str, name: str) -> str:
        """Condition: `column` is one of `integers`."""
        if self.sqlite:
            return f"{column} IN (SELECT value FROM json_each(%({name})s))"  # noqa: S608 - a name of ours
        return f"{column} = ANY(%({name})s::bigint[])"

    def holds(self, column: str, name: str) -> str:
        """Condition: the text in `column` contains a text."""
        return (
            f"instr({column}, %({name})s) > 0" if self.sqlite else f"strpos({column}, %({name})s::text) > 0"
        )

    def pairs(self, name: str) -> str:
        """A table with columns `series_id` and `grp`, from the JSON text of `[[series_id, grp], …]`."""
        if self.sqlite:
            columns = "json_extract(value, '$[0]') AS series_id, json_extract(value, '$[1]') AS grp"
            return f"(SELECT {columns} FROM json_each(%({name})s))"  # noqa: S608 - a name of ours
        columns = "(pair ->> 0)::bigint AS series_id, (pair ->> 1)::integer AS grp"
        return f"(SELECT {columns} FROM json_array_elements(%({name})s::json) AS pair)"  # noqa: S608

    def number(self, column: str) -> str:
        """The float in `column`, but NULL for NaN."""
        if self.sqlite:
            return f"CASE WHEN typeof({column}) <> 'text' THEN CAST({column} AS REAL) END"
        return f"nullif({column}, 'NaN'::double precision)"

    def bucket(self, column: str) -> str:
        """The step that the time in `column` lies in, as `from_bucket` reads it."""
        # date_bin, because extract(epoch …) is numeric arithmetic and several times slower.
        if self.sqlite:
            return f"({column} - %(origin)s) / %(step)s"
        return f"date_bin(%(step)s::interval, {column}, %(origin)s::timestamptz)"

    def end_of_span(self) -> str:
        """The end of span `p` as a TIME, cut to microseconds; NULL if it did not end."""
        if self.sqlite:
            return "p.time + p.duration_nano / 1000"
        return "p.time + p.duration_nano / 1000 * interval '1 microsecond'"

    def exact_time(self) -> str:
        """The time of fact `p` in nanoseconds since 1970, as SQLite's indexes have it, letter by letter."""
        return "(p.time * 1000 + coalesce(p.time_nanos, 0))"

    def newest_first(self, limit: int | None) -> str:
        """Order fact `p` by time, newest first; with a `limit`, at most the rows of parameter `limit`."""
        exact = f"{self.exact_time()} DESC" if self.sqlite else "p.time DESC, coalesce(p.time_nanos, 0) DESC"
        return f"ORDER BY {exact}" if limit is None else f"ORDER BY {exact} LIMIT %(limit)s"

    def is_trace(self, name: str) -> str:
        """Condition: fact `p` is of a trace; the parameter is made by `trace_id`."""
        # SQLite's index holds the text that its views show.
        return f"lower(hex(p.trace_id)) = %({name})s" if self.sqlite else f"p.trace_id = %({name})s"

    def trace_id(self, value: bytes) -> Any:
        """A trace id, for `is_trace`."""
        return value.hex() if self.sqlite else UUID(bytes=value)

    def microseconds(self, column: str) -> str:
        """The TIME in `column` as a number of microseconds since 1970. Costly in PostgreSQL."""
        return column if self.sqlite else f"(extract(epoch FROM {column}) * 1000000)::bigint"

    # --- answers ------------------------------------------------------------------------------------------

    def from_time(self, value: Any) -> int:
        """A column of kind TIME as microseconds since 1970."""
        return (value - EPOCH) // _MICROSECOND if isinstance(value, datetime) else int(value)

    def from_bucket(self, value: Any, origin_us: int, step_us: int) -> int:
        """The beginning of a step, in microseconds since 1970."""
        return origin_us + int(value) * step_us if self.sqlite else self.from_time(value)

    def from_uuid(self, value: Any) -> str | None:
        """A column of kind UUID as hexadecimal text."""
        if value is None:
            return None
        return bytes(value).hex() if self.sqlite else UUID(str(value)).hex

    def from_integers(self, value: Any) -> tuple[int, ...]:
        """A column of kind UINT64_ARRAY; empty for NULL."""
        if value is None:
            return ()
        return tuple([int(item) & _UINT64_MASK for item in (json.loads(value) if self.sqlite else value)])

    def from_floats(self, value: Any) -> tuple[float, ...]:
        """A column of kind FLOAT64_ARRAY; empty for NULL."""
        if value is None:
            return ()
        return tuple([float(double_of(item)) for item in (parse_json(value) if self.sqlite else value)])


def from_float(value: Any) -> float | None:
    """A column of kind FLOAT64."""
    return None if value is None else float(value)


def from_uint64(value: Any) -> int | None:
    """A column of kind UINT64, which is kept in two's complement."""
    return None if value is None else int(value) & _UINT64_MASK


def from_uint64_hex(value: Any) -> str | None:
    """A span id as hexadecimal text."""
    return None if value is None else f"{int(value) & _UINT64_MASK:016x}"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What goes into a WHERE: conditions that must all hold, and the parameters in them."""

    texts: list[str]
    parameters: dict[str, Any]

    def add(self, text: str, /, **parameters: Any) -> None:
        """Add a condition and the parameters it names."""
        self.texts.append(text)
        self.parameters.update(parameters)

    def add_any_of(self, text: str, values: Sequence[Any]) -> None:
        """Add: `text`, a condition on parameter `value`, holds for one of `values`."""
        names = {f"value_{number}": value for number, value in enumerate(values)}
        self.add(f"({' OR '.join(text.replace('%(value)s', f'%({name})s') for name in names)})", **names)

    @property
    def where(self) -> str:
        """The clause, or nothing if there are no conditions."""
        return f"WHERE {' AND '.join(self.texts)}" if self.texts else ""


def during(dialect: Dialect, window: Window, names: tuple[str, str] = ("start", "end")) -> Conditions:
    """Keep the rows of fact `p` that lie in `window`, to the nanosecond, by what each database finds quickly.

    `names`: of the parameters, for a statement with several windows.
    """
    conditions = Conditions([], {})
    bounds = (window.start_unix_nano, window.end_unix_nano)
    for name, bound, is_start in zip(names, bounds, (True, False), strict=True):
        if bound in (0, TIME_MAX):
            continue
        if dialect.sqlite:  # its indexes hold the exact time
            sign = ">=" if is_start else "<"
            conditions.add(f"{dialect.exact_time()} {sign} %({name})s", **{name: bound})
            continue
        microseconds, nanos = divmod(bound, 1000)
        # The plain comparison prunes chunks; the nanoseconds matter in the microsecond of the bound only.
        sign = ">=" if is_start else "<=" if nanos else "<"
        conditions.add(f"p.time {sign} %({name})s", **{name: dialect.time(microseconds)})
        if nanos:
            outside = "<" if is_start else ">="
            conditions.add(
                f"NOT (p.time = %({name})s AND coalesce(p.time_nanos, 0) {outside} %({name}_nanos)s)",
                **{f"{name}_nanos": nanos},
            )
    return conditions


def statement(*parts: str) -> str:
    """Join the parts of a statement; empty ones are left out."""
    return "\n".join(part for part in parts if part)


def pair_list(pairs: Mapping[int, int]) -> str:
    """The parameter of `Dialect.pairs`."""
    return json.dumps(list(pairs.items()))
