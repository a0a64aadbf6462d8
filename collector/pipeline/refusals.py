"""`Refusals`: which items of a queue's unsettled records the destination has refused for ever.

They become dead letters where there is a disk, before the rest of their batch is delivered. So a crash in between
finds them written when the batch comes again, and they are neither lost nor written twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from collector.model.errors import RetryableError
from collector.pipeline.component import Refused, StartError

if TYPE_CHECKING:
    from collector.pipeline.dead_letters import DeadLetters

Overflow = Literal["refuse", "drop"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of refused items: kept as dead letters, or dropped; for which reason (a metric label)."""

    kept: bool
    reason: str


@dataclass(frozen=True, slots=True)
class _Entry:
    items: int
    fate: Fate


class Refusals:
    """Used by the sender's thread alone. Without `letters`, or room for any, what is refused is dropped.

    `overflow`: what happens when the letters are full: `refuse` leaves the batch in the queue until there is room.
    """

    def __init__(self, letters: DeadLetters | None = None, overflow: Overflow = "refuse") -> None:
        self.letters = letters
        self._overflow = overflow
        # By sequence number of the record and place of the first item in it.
        self._entries: dict[tuple[int, int], _Entry] = {}

    def adjust(self, capacity: int, overflow: Overflow) -> None:
        """Go on with these bounds."""
        self._overflow = overflow
        if self.letters is not None:
            self.letters.adjust(capacity)

    @property
    def kept(self) -> bool:
        """Whether what is refused is kept."""
        return self.letters is not None and self.letters.capacity > 0

    def open(self, queue_id: UUID, released: int, last: int) -> None:
        """Find what an earlier process has written of the queue's records `released` to `last`, which are not settled.

        Raises:
            StartError: the directory cannot be used.
        """
        if self.letters is not None and self.letters.open(last):
            for letter in self.letters:
                if letter.queue_id == queue_id and letter.sequence > released:
                    entry = _Entry(letter.data.items, Fate(True, letter.reason))
                    self._entries[letter.sequence, letter.first] = entry

    def close(self) -> None:
        """Let go of files. Safe twice."""
        if self.letters is not None:
            self.letters.close()

    def among(self, start: int, end: int) -> bool:
        """Whether something of the positions `(start, end]` was refused, in an attempt that may not have counted."""
        return any(start < sequence <= end for sequence, _ in self._entries)

    def put(self, queue_id: UUID, start: int, end: int, refused: Sequence[tuple[int, Refused]]) -> None:
        """These are all that is refused of the positions `(start, end]`; each with its record's sequence number.

        Raises:
            RetryableError: they cannot be kept now; nothing of the batch may become final.
        """
        now = {(sequence, one.first): one for sequence, one in refused}
        before = {key for key in self._entries if start < key[0] <= end}
        fates = self._write(queue_id, {key: one for key, one in now.items() if key not in before})
        if stale := before - now.keys():  # accepted meanwhile: it must not be in both places
            self._withdraw(queue_id, stale)
        self._entries.update(fates)

    def _write(self, queue_id: UUID, new: dict[tuple[int, int], Refused]) -> dict[tuple[int, int], _Entry]:
        kept, reason = False, ""
        if self.letters is not None and self.kept and new:
            from collector.pipeline.dead_letters import Letter  # not needed where all is in memory

            letters = [
                Letter(
                    queue_id=queue_id,
                    sequence=sequence,
                    first=first,
                    reason=one.reason,
                    message=one.message,
                    data=one.data,
                )
                for (sequence, first), one in new.items()
            ]
            try:
                self.letters.add(letters)
                kept = True
            except RetryableError as error:
                if error.reason != "dead_letters_full" or self._overflow != "drop":
                    raise
                reason = error.reason
            except StartError as error:
                raise RetryableError(str(error), reason="disk_failed") from error
        return {key: _Entry(one.data.items, Fate(kept, reason or one.reason)) for key, one in new.items()}

    def _withdraw(self, queue_id: UUID, stale: set[tuple[int, int]]) -> None:
        kept = {key for key in stale if self._entries[key].fate.kept}
        if self.letters is not None and kept:
            self.letters.remove(
                lambda letter: letter.queue_id == queue_id and (letter.sequence, letter.first) in kept
            )
        for key in stale:
            del self._entries[key]

    def settle(self, upto: int) -> Counter[Fate]:
        """Everything up to position `upto` is settled: return what became of the refused items of it, counted."""
        fates: Counter[Fate] = Counter()
        for key in [key for key in self._entries if key[0] <= upto]:
            entry = self._entries.pop(key)
            fates[entry.fate] += entry.items
        return fates
