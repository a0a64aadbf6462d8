"""The rule that makes writing twice the same as writing once, for every dialect.

A store reads the position of the queue inside the transaction that will write the rows, with the row locked
(or the whole database), asks here, and writes `end` with the rows.
"""

from __future__ import annotations

from uuid import UUID

from collector.storage.store import PositionError

# A queue's position is kept so long after its last batch. Long enough for a disk that lay in a drawer.
QUEUE_FORGOTTEN_AFTER_S = 365 * 86_400.0


def must_write(stored: int | None, *, queue_id: UUID, start: int, end: int) -> bool:
    """Whether the batch `(start, end]` has to be written, given what is stored of its queue.

    Raises:
        PositionError: a part of it is stored, so that neither writing nor leaving it would be right.
    """
    if stored is None or stored <= start:
        return True
    if stored >= end:
        return False
    raise PositionError(queue_id, stored, start, end)
