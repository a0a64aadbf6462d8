"""Dead letters: items that a destination refused for ever, on disk beside the queue they came from.

They are kept as records of a queue on disk (`disk_queue`), so that they are as safe as what waits, and bounded in
bytes. A letter is the OTLP request of its items, whole with its envelopes, behind what is known about it:

    letter = version 0 reason-length message-length first queue-id sequence  reason message  OTLP

All integers are little-endian. A letter is known by where its items came from: the queue's id, the sequence number
of their record, and the place of the first of them in it. Replaying the record finds them written already.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

from collector.model.errors import RetryableError
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import StartError
from collector.pipeline.disk_queue import DiskQueue, QueueStorage
from collector.pipeline.queue_directory import write_durably

if TYPE_CHECKING:
    from collector.model.clock import Clock
    from collector.pipeline.queue import SendingQueue, Watcher

FOLDER: Final = "dead-letters"
_REDELIVERY: Final = "redelivery"

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<BBHHI16sQ")
_MESSAGE_SIZE_MAX: Final = 1000
# So much is read at once, of what may be more than there is memory.
_READ: Final = BatchLimits(items_min=0, bytes_max=1024 * 1024)

Key: TypeAlias = tuple[UUID, int, int]  # queue, sequence number of the record, place of the first item in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """Items that were refused: `data`. `reason` is a metric label, `message` the destination's words."""

    queue_id: UUID
    sequence: int
    first: int
    reason: str
    message: str
    data: Telemetry

    @property
    def key(self) -> Key:
        """What tells it from all others."""
        return self.queue_id, self.sequence, self.first

    @property
    def name(self) -> str:
        """The same for people, within one queue."""
        return f"{self.sequence}.{self.first}"

    def encode(self) -> Telemetry:
        """The record it is kept as."""
        reason = self.reason.encode()
        message = self.message.encode(errors="replace")[:_MESSAGE_SIZE_MAX]
        head = _HEAD.pack(
            _VERSION, 0, len(reason), len(message), self.first, self.queue_id.bytes, self.sequence
        )
        payload = b"".join((head, reason, message, self.data.payload))
        return Telemetry(self.data.signal, payload, self.data.items)

    @classmethod
    def decode(cls, record: Telemetry) -> Letter | None:
        """The letter that `encode` made a record of; None of one that another version wrote."""
        version, _, reason, message, first, queue_id, sequence = _HEAD.unpack_from(record.payload)
        if version != _VERSION:
            return None
        at = _HEAD.size
        words = record.payload[at : at + reason + message]
        return cls(
            queue_id=UUID(bytes=queue_id),
            sequence=sequence,
            first=first,
            reason=words[:reason].decode(),
            message=words[reason:].decode(errors="replace"),
            data=Telemetry(record.signal, record.payload[at + reason + message :], record.items),
        )


class DeadLetters:
    """The dead letters of one queue. Nothing is on the disk before the first; used by one thread at a time."""

    def __init__(self, storage: QueueStorage, name: str, capacity: int, clock: Clock) -> None:
        self._queue = DiskQueue(storage, f"{name}/{FOLDER}", capacity, clock)
        self._folder = storage.directory / name / FOLDER
        self._opened = False

    @property
    def size(self) -> int:
        """Bytes."""
        return self._queue.size

    @property
    def items(self) -> int:
        """Items."""
        return self._queue.items

    @property
    def capacity(self) -> int:
        """Bytes they may have."""
        return self._queue.capacity

    def adjust(self, capacity: int) -> None:
        """They may have so many bytes from now on."""
        self._queue.adjust(capacity, "refuse")

    def watch(self, watcher: Watcher, /) -> None:
        """Have `watcher` called when letters are found damaged: see `SendingQueue.watch`."""
        self._queue.watch(watcher)

    def open(self, last: int) -> bool:
        """Open them, if there are any; return whether. Safe twice.

        Args:
            last: The sequence number of the last record of the queue they came from: see `redeliver`.

        Raises:
            StartError: they cannot be used.
        """
        if self._folder.is_dir() and not self._opened:
            self._queue.open()
            self._opened = True
            self._queue.release(self._queue.released)  # nobody else knows a position: what is damaged is lost
            try:
                self._finish_redelivery(last)
            except (RetryableError, OSError) as error:
                self.close()
                raise StartError(f"dead letters in {self._folder}: {error}") from error
        return self._opened

    def close(self) -> None:
        """Let go of files and lock. Safe twice, and when never opened."""
        if self._opened:
            self._queue.close()
            self._opened = False

    def __iter__(self) -> Iterator[Letter]:
        """All letters, oldest first. Each once, whatever a crash has left of rewriting."""
        seen: set[Key] = set()
        position = self._queue.released
        while self._opened and (records := self._queue.read(position, _READ)):
            for record in records:
                letter = Letter.decode(record.data)
                if letter is not None and letter.key not in seen:
                    seen.add(letter.key)
                    yield letter
            position = records[-1].sequence

    def add(self, letters: Sequence[Letter]) -> None:
        """Add letters, all or none, and return when they are on the disk.

        Raises:
            RetryableError: there is no room (`dead_letters_full`), or the disk failed.
            StartError: the first letter found that the directory cannot be used.
        """
        if not self._opened:
            self._queue.open()
            self._opened = True
        pieces = [letter.encode() for letter in letters]
        size = sum(piece.size for piece in pieces)
        try:
            self._queue.reserve(size)
        except RetryableError as error:
            raise RetryableError(
                f"the dead letters are full: {self.size} of {self.capacity} bytes are taken; "
                "`collector queue` shows, retries and drops them",
                reason="dead_letters_full",
            ) from error
        self._queue.wait_durable(self._queue.append_all(pieces))

    def redeliver(self, queue: SendingQueue, wanted: Callable[[Letter], bool]) -> int:
        """Put the letters for which that is true back into `queue`, which is theirs; return how many.

        Each is in one of the two at any time: what is going to be put back, under which numbers, is written down
        first, so that after an interruption the queue's last number says what has arrived.

        Raises:
            RetryableError: the queue has no room for all of them, or the disk failed.
        """
        chosen = [letter for letter in self if wanted(letter)]
        if not chosen:
            return 0
        queue.reserve(sum(letter.data.size for letter in chosen))
        note = {
            "first": queue.last + 1,
            "letters": [[str(letter.queue_id), letter.sequence, letter.first] for letter in chosen],
        }
        path = self._folder / _REDELIVERY
        write_durably(path, json.dumps(note).encode())
        queue.wait_durable(queue.append_all([letter.data for letter in chosen]))
        self._finish_redelivery(queue.last)
        return len(chosen)

    def _finish_redelivery(self, last: int) -> None:
        """Remove the letters that are in the queue again, whose last record has the number `last`."""
        path = self._folder / _REDELIVERY
        if not path.exists():
            return
        note = json.loads(path.read_text())
        arrived = note["letters"][: max(0, last + 1 - note["first"])]
        keys = {(UUID(queue_id), sequence, first) for queue_id, sequence, first in arrived}
        if keys:
            self.remove(lambda letter: letter.key in keys)
        path.unlink()

    def remove(self, gone: Callable[[Letter], bool]) -> int:
        """Remove the letters for which that is true; return how many.

        The others are written again behind the last one, piece by piece, and a piece is let go of when it is: an
        interruption leaves some of them twice, which `__iter__` knows to expect.

        Raises:
            RetryableError: the disk failed; some may be removed.
        """
        seen: set[Key] = set()
        removed = 0
        upto = self._queue.last
        while self._queue.released < upto:
            records = self._queue.read(self._queue.released, _READ)
            records = [record for record in records if record.sequence <= upto]
            if not records:  # only what is damaged is left
                self._queue.release(upto)
                self._queue.tidy()
                break
            kept: list[Telemetry] = []
            for record in records:
                letter = Letter.decode(record.data)
                if letter is not None:
                    if letter.key in seen:
                        continue
                    seen.add(letter.key)
                    if gone(letter):
                        removed += 1
                        continue
                kept.append(record.data)
            if kept:
                self._queue.reserve(sum(data.size for data in kept), beyond=True)
                self._queue.wait_durable(self._queue.append_all(kept))
            self._queue.release(records[-1].sequence)
            self._queue.tidy()
        return removed
