"""A queue is written by one session at a time; one that was left behind by a writer that is gone is ended.

A daemon that is killed, or cut off, in the middle of a COPY leaves a session that waits for the rest of it: until TCP
gives up, which may be hours, and no timeout of the server's ends it. It holds the queue's position, and the next
process would wait for it as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from psycopg import sql

from collector.model.errors import RetryableError
from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.names import lock_key
from collector.storage.postgresql.writing import set_config, words

# A writer that lives sends the next piece of a COPY within milliseconds.
_LEFT_BEHIND_AFTER_S: Final = 5.0

_END_LEFT_BEHIND: Final = """
SELECT count(pg_terminate_backend(activity.pid))
FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid)
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
    AND held.database = activity.datid AND activity.datname = current_database()
    AND (held.classid::bigint << 32 | held.objid::bigint) = %s
    AND activity.usename = current_user AND activity.wait_event = 'ClientRead'
    AND activity.xact_start < clock_timestamp() - %s * interval '1 second'
"""


def claim_queue(connection: Connection, schema: str, queue_id: UUID, settings: Mapping[str, str]) -> None:
    """Claim a queue until the transaction ends, and set server parameters (one at least) for as long: one round trip.

    Raises:
        RetryableError: another session has it. If that one waits for a client for long, it has been ended.
    """
    key = lock_key(schema, f"queue:{queue_id}")
    row = connection.execute(
        sql.SQL("SELECT {}").format(
            sql.SQL(", ").join([sql.SQL("pg_try_advisory_xact_lock(%s)"), set_config(len(settings))])
        ),
        [key, *words(settings)],
    ).fetchone()
    if row is not None and row[0]:
        return
    ended = connection.execute(_END_LEFT_BEHIND, (key, _LEFT_BEHIND_AFTER_S)).fetchone()
    if ended is not None and ended[0]:
        raise RetryableError(
            "a session that a writer of this queue had left behind was ended", reason="left_behind"
        )
    raise RetryableError(f"another session is writing queue {queue_id}", reason="position")
