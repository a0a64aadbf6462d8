"""`EncodingAhead`: while the database works on one batch, the next one is encoded."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from collector.pipeline.component import Batch, Thread

if TYPE_CHECKING:
    from collector.storage.encoding import PayloadEncoder
    from collector.storage.rows import Encoded


class _Job:
    """A batch in the hands of the thread, and what it has made of it."""

    __slots__ = ("batch", "done", "encoded")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.done = threading.Event()
        self.encoded: Encoded | None = None  # None when done: it failed


class EncodingAhead:
    """Encodes the batches of one signal, one of them ahead of its turn. At most one: that is the bound on memory.

    `spawn` starts a thread with a body, when there is something to do for it the first time. All else is for the one
    thread that exports.
    """

    def __init__(self, encoder: PayloadEncoder, spawn: Callable[[Callable[[], None]], Thread]) -> None:
        self._encoder = encoder
        self._spawn = spawn
        self._expected: Batch | None = None
        self._job: _Job | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: Thread | None = None

    def expect(self, batch: Batch) -> None:
        """Let `batch` be what `begin` begins with."""
        self._expected = batch

    def encode(self, batch: Batch) -> Encoded:
        """Return `batch` as rows: what was made of it ahead, if it was, else what is made of it now."""
        if self._expected is not None and _same(self._expected, batch):
            self._expected = None  # it was never begun, and its turn has come
        job = self._take()
        if job is not None and job.encoded is not None and _same(job.batch, batch):
            return job.encoded
        return self._encode(batch)

    def encode_payloads(self, payloads: Sequence[bytes]) -> Encoded:
        """As a `PayloadEncoder`, for what is no batch. What was made ahead is forgotten."""
        self._take()
        return self._encoder.encode(payloads)

    def begin(self) -> None:
        """Have the batch that is expected encoded by the thread."""
        batch, self._expected = self._expected, None
        if batch is None or self._job is not None:
            return
        if self._thread is None:
            self._thread = self._spawn(self._run)
        self._job = _Job(batch)
        self._jobs.put(self._job)

    def stop(self) -> None:
        """End the thread, after what it is at. Safe twice."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _take(self) -> _Job | None:
        """Wait until the thread is done, and take what it has made."""
        job, self._job = self._job, None
        if job is not None:
            job.done.wait()
        return job

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job.encoded = self._encode(job.batch)
            except Exception:  # noqa: BLE001, S110  met again when its turn comes, and handled there
                pass
            finally:
                job.done.set()
            del job  # an idle thread must not keep a batch alive

    def _encode(self, batch: Batch) -> Encoded:
        return self._encoder.encode([record.payload for record in batch.records])


def _same(one: Batch, other: Batch) -> bool:
    """Whether both are the same records: positions in a queue are never used twice, and some may have been taken out."""
    return (one.queue_id, one.start, one.end, one.items) == (
        other.queue_id,
        other.start,
        other.end,
        other.items,
    )
