"""What a database error means for the batch: try again, or never.

Permanent only by allow-list: errors that are proven to lie in the data (SQLSTATE class 22, data exception; 23,
constraint violation; 54000, a value too large for an index or a row). Everything else may pass: servers restart, disks
are extended, passwords rotated, privileges granted, tables migrated. Class 42 never lies in a row: our statements
are the same for all of them. A trigger that refuses rows does so for ever when it says so: `RAISE … USING ERRCODE =
'check_violation'`; its plain `RAISE EXCEPTION` (P0001) may mean anything. See PostgreSQL's manual, appendix A.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import psycopg
from psycopg import errors

from collector.model.errors import PermanentError, RetryableError, TelemetryError
from collector.storage.rows import Row
from collector.storage.store import RowRefusedError, SchemaError
from collector.storage.tables import Table

# Reason words are metric labels: bounded. By SQLSTATE, then by its class.
_BY_STATE: Final = {
    "25006": "read_only",  # a standby, during a failover
    "3D000": "no_database",
    "40001": "conflict",
    "40P01": "deadlock",
    "42501": "privileges",
    "53100": "disk_full",
    "53300": "too_many_connections",
    "55P03": "lock_timeout",
    "57014": "timeout",
}
_BY_CLASS: Final = {
    "08": "connection",
    "28": "authentication",
    "40": "conflict",
    "53": "out_of_resources",
    "57": "shutdown",
    "58": "server_error",
    "XX": "server_error",
}
# Tables, columns, schemas, functions that are not there or of another type: the schema is not ours (yet).
_SCHEMA: Final = frozenset({"3F000", "42P01", "42703", "42883", "42804", "42704", "42P10"})
_DATA_CLASSES: Final = frozenset({"22", "23"})
_TOO_LARGE: Final = "54000"
# Rows for which no partition exists: it was dropped after the writer looked.
_NO_PARTITION: Final = "23514"


def classify(error: psycopg.Error) -> TelemetryError:
    """Return what to raise for `error`."""
    state = error.sqlstate or ""
    message = str(error).strip() or type(error).__name__
    if state in _SCHEMA:
        return SchemaError(f"the tables are not as this version writes them: {_first_line(message)}")
    if state == _NO_PARTITION and isinstance(error, errors.CheckViolation) and "partition" in message:
        return RetryableError(_first_line(message), reason="no_partition")
    if state[:2] in _DATA_CLASSES or state == _TOO_LARGE:
        return PermanentError(_first_line(message), reason="invalid_data")
    reason = _BY_STATE.get(state) or _BY_CLASS.get(state[:2])
    if reason is None:
        # Without a SQLSTATE it is the client library that speaks: no server, or one that went away.
        reason = "database_error" if state else "connection"
    return RetryableError(_first_line(message), reason=reason)


def row_refused(error: psycopg.Error, facts: Mapping[Table, Sequence[Row]]) -> TelemetryError:
    """The same for an error of a COPY of `facts`: with the row it stopped at, if the server names one.

    The server says it in its own language, but the number comes first after the table's name in all of them.
    """
    found = classify(error)
    if isinstance(found, PermanentError):
        for table, rows in facts.items():
            line = re.search(rf"^COPY {table.name}\D+(\d+)", error.diag.context or "", re.MULTILINE)
            if line and 0 < int(line[1]) <= len(rows):
                place = int(line[1]) - 1
                return RowRefusedError(
                    str(found), reason=found.reason, table=table, place=place, row=rows[place]
                )
    return found


def connect_error(error: psycopg.Error) -> RetryableError:
    """Return what to raise when no connection could be made. Never permanent: passwords and servers come back.

    The server's SQLSTATE does not reach us from a failed connection, so its text decides.
    """
    message = str(error).strip()
    lower = message.lower()
    if "authentication" in lower or "password" in lower or "no pg_hba.conf entry" in lower:
        reason = "authentication"
    elif "database" in lower and "does not exist" in lower:
        reason = "no_database"
    elif "too many" in lower or "remaining connection slots" in lower:
        reason = "too_many_connections"
    elif "starting up" in lower or "shutting down" in lower or "recovery mode" in lower:
        reason = "shutdown"
    else:
        reason = "connection"
    return RetryableError(_first_line(message) or "no connection", reason=reason)


def _first_line(message: str) -> str:
    return message.partition("\n")[0]
