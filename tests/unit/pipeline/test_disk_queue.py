"""The sending queue on disk: restarts, full and failing disks, damage, and what a start costs."""

from __future__ import annotations

import errno
import os
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline import queue_segment
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import StartError
from collector.pipeline.disk_queue import DiskQueue, QueueStorage
from collector.pipeline.queue import Loss
from collector.pipeline.queue_spares import Spare, Spares
from tests.support.fake_clock import FakeClock

NO_LIMITS = BatchLimits(items_min=0, bytes_max=1 << 40)


def opened(
    directory: Path, losses: list[Loss] | None = None, *, capacity: int = 1 << 30, fsync: bool = True
) -> DiskQueue:
    queue = DiskQueue(
        QueueStorage(directory=directory, fsync=fsync), "q", capacity, FakeClock(), tail_size=1 << 20
    )
    queue.watch((losses if losses is not None else []).append)
    queue.open()
    return queue


def put(queue: DiskQueue, *texts: bytes) -> int:
    pieces = [Telemetry(Signal.LOGS, text, 2) for text in texts]
    queue.reserve(sum(piece.size for piece in pieces))
    last = queue.append_all(pieces)
    queue.wait_durable(last)
    return last


def held(queue: DiskQueue) -> list[bytes]:
    return [record.data.payload for record in queue.read(queue.released, NO_LIMITS)]


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("q/*.seg"))


def test_queue_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Same id, same numbers, what was released stays released; time waited counts on."""
    first = opened(tmp_path)
    put(first, b"a", b"b", b"c")
    assert first.release(1) == 2
    first.close()
    second = opened(tmp_path)
    assert (second.id, second.released, second.last, second.items) == (first.id, 1, 3, 4)
    assert held(second) == [b"b", b"c"]
    assert put(second, b"d") == 4
    second.close()


def test_queue_deletes_what_is_released_and_keeps_its_numbers(tmp_path: Path) -> None:
    """Space comes back; an empty queue still knows which number is next."""
    queue = opened(tmp_path)
    put(queue, b"a", b"b")
    queue.release(2)
    queue.close()
    again = opened(tmp_path)
    assert len(segments(tmp_path)) == 1
    assert put(again, b"c") == 3
    again.close()


def test_queue_takes_back_a_write_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk refuses, whatever part of the write was done; when there is room, nothing is missing."""
    queue = opened(tmp_path)
    put(queue, b"before")

    def full(fd: int, buffers: Sequence[bytes], offset: int) -> int:
        os.pwrite(fd, b"".join(buffers)[:20], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwritev", full)
        with pytest.raises(RetryableError) as refusal:
            put(queue, b"refused")
        assert refusal.value.reason == "disk_full"
        assert queue.size == len(b"before")
        assert queue.release(1) == 2  # what waits can still be sent
    put(queue, b"after")
    queue.close()
    again = opened(tmp_path)
    assert held(again) == [b"after"]
    again.close()


def test_queue_gives_its_newest_segment_back_to_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When all is delivered, a disk that this queue has filled has room again; numbers go on, also after a restart."""
    queue = opened(tmp_path)
    put(queue, b"x" * 5000)
    real = os.pwritev

    def full(fd: int, buffers: Sequence[bytes], offset: int) -> int:
        if sum(path.stat().st_size for path in segments(tmp_path)) + sum(map(len, buffers)) > 6000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(RetryableError):
        put(queue, b"y" * 2000)
    assert queue.release(1) == 2
    assert put(queue, b"y" * 2000) == 2
    assert (queue.size, queue.items, held(queue)) == (2000, 2, [b"y" * 2000])
    assert queue.release(2) == 2
    assert put(queue, b"z" * 5000) == 3
    queue.close()
    again = opened(tmp_path)
    assert (again.last, held(again)) == (3, [b"z" * 5000])
    again.close()


def test_queue_refuses_when_no_segment_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the next file is begun: also at a start, which succeeds, to send what is there."""
    queue = opened(tmp_path)
    put(queue, b"before")
    queue.close()
    real = os.open

    def full(path: object, flags: int, *arguments: int, **named: int) -> int:
        if flags & os.O_CREAT and str(path).endswith(".seg"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, flags, *arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        again = opened(tmp_path)
        with pytest.raises(RetryableError):
            put(again, b"refused")
        assert held(again) == [b"before"]
        assert again.release(1) == 2
    assert put(again, b"after") == 2
    again.close()


def test_queue_takes_back_what_a_failed_sync_was_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited is refused, the data is neither delivered nor found later, and its numbers are not used again."""
    losses: list[Loss] = []
    queue = opened(tmp_path, losses)
    put(queue, b"before")

    def failing(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", failing)
        with pytest.raises(RetryableError) as refusal:
            put(queue, b"refused")
    assert refusal.value.reason == "disk_failed"
    assert [(loss.cause, loss.detail, loss.records, loss.items) for loss in losses] == [
        ("disk_failed", "EIO", 1, 2)
    ]
    assert put(queue, b"after") == 3
    assert held(queue) == [b"before", b"after"]
    queue.close()
    again = opened(tmp_path, losses)
    assert held(again) == [b"before", b"after"]
    assert len(losses) == 1
    again.close()


def test_queue_sets_a_damaged_record_aside(tmp_path: Path) -> None:
    """A flipped bit costs one record: the rest is delivered, the loss is told, the bytes are kept."""
    queue = opened(tmp_path)
    put(queue, b"first first", b"second second", b"third third")
    queue.close()
    path = segments(tmp_path)[0]
    content = bytearray(path.read_bytes())
    content[content.index(b"second") + 2] ^= 1
    path.write_bytes(content)
    losses: list[Loss] = []
    again = opened(tmp_path, losses)
    assert held(again) == [b"first first", b"third third"]
    assert [(loss.cause, loss.detail, loss.records, loss.items) for loss in losses] == [
        ("damaged", "corrupt", 1, 2)
    ]
    (kept,) = (tmp_path / "q" / "quarantine").iterdir()
    assert b"sebond second" in kept.read_bytes()
    assert again.items == 4
    again.close()


def behind_its_destination(directory: Path, *, records: int) -> Path:
    """A queue of two segments whose destination holds more than the position says, as a kill leaves it.

    Returns:
        The first segment, in which are `records` records.
    """
    queue = opened(directory)
    before = (directory / "q" / "position").read_bytes()
    put(queue, *(b"record %3d " % number * 10 for number in range(records)))
    first, active = segments(directory)[0], queue._log._active
    assert active is not None
    queue._log.seal(active)
    put(queue, b"behind it")
    queue.release(2)
    queue.close()
    (directory / "q" / "position").write_bytes(before)
    return first


def truncated(content: bytearray, at: int) -> None:
    del content[at:]


def flipped(content: bytearray, at: int) -> None:
    content[content.rindex(b"\xf5OTR", 0, at)] ^= 1


def zero_filled(content: bytearray, at: int) -> None:
    end = len(content) - queue_segment.FOOTER_SIZE
    content[at:end] = bytes(end - at)


@pytest.mark.parametrize("damage", [truncated, flipped, zero_filled])
@pytest.mark.parametrize("at", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("delivered", [0, 1, 4, 9, 10])
def test_queue_counts_as_lost_only_what_was_not_delivered(
    tmp_path: Path, damage: Callable[[bytearray, int], None], at: float, delivered: int
) -> None:
    """The destination holds more than the position says, and some of that is destroyed: it is sent, not lost."""
    records = 10
    path = behind_its_destination(tmp_path, records=records)
    content = bytearray(path.read_bytes())
    first = queue_segment.SEGMENT_HEADER_SIZE + queue_segment.RECORD_HEADER_SIZE
    damage(content, first + int(at * (len(content) - first - queue_segment.FOOTER_SIZE)))
    path.write_bytes(content)
    losses: list[Loss] = []
    queue = opened(tmp_path, losses)
    assert (queue.released, losses) == (0, []), "nobody knows yet what the destination holds"
    before = queue.items
    sent = queue.release(delivered)
    assert before == sent + queue.items + sum(loss.items for loss in losses)
    found = [record.sequence for record in queue.read(delivered, NO_LIMITS)]
    missing = records + 1 - delivered - len(found)
    assert sum(loss.records for loss in losses) == missing
    lost = sum(loss.items for loss in losses)
    assert before == sent + queue.items + lost
    assert queue.items == 2 * len(found)
    if damage is not truncated:  # else the footer is gone, and with it how many items there were
        assert (sent, lost) == (2 * delivered, 2 * missing)
    assert queue.release(records + 1) == queue.items + 2 * len(found)
    assert (queue.items, queue.size) == (0, 0)
    queue.close()


@pytest.mark.parametrize("damage", [truncated, flipped, zero_filled])
def test_queue_without_a_destination_that_tells_its_position_counts_when_it_is_read(
    tmp_path: Path, damage: Callable[[bytearray, int], None]
) -> None:
    """Its own position is the only one there is."""
    path = behind_its_destination(tmp_path, records=3)
    content = bytearray(path.read_bytes())
    damage(content, queue_segment.SEGMENT_HEADER_SIZE + queue_segment.RECORD_HEADER_SIZE)
    path.write_bytes(content)
    losses: list[Loss] = []
    queue = opened(tmp_path, losses)
    assert losses == []
    found = [record.sequence for record in queue.read(0, NO_LIMITS)]
    assert sum(loss.records for loss in losses) == 4 - len(found) > 0
    assert queue.items == 2 * len(found)
    queue.close()


def test_queue_forgets_what_was_released_of_a_damaged_segment_when_it_is_opened(tmp_path: Path) -> None:
    """Neither waiting nor lost, although it cannot be read any more."""
    queue = opened(tmp_path)
    put(queue, *(b"record %3d " % number for number in range(4)))
    queue.release(2)
    queue.close()
    (path,) = segments(tmp_path)
    content = bytearray(path.read_bytes())
    content[queue_segment.SEGMENT_HEADER_SIZE] ^= 1
    path.write_bytes(content)
    losses: list[Loss] = []
    again = opened(tmp_path, losses)
    assert (again.items, again.size) == (4, 22)
    assert held(again) == [b"record   2 ", b"record   3 "]
    assert losses == []
    again.close()


@pytest.mark.parametrize("damage", [truncated, flipped, zero_filled])
def test_queue_that_drops_the_oldest_counts_what_is_damaged_among_them_once(
    tmp_path: Path, damage: Callable[[bytearray, int], None]
) -> None:
    """Dropped or destroyed: each record is one of the two, and none of its bytes stays taken."""
    path = behind_its_destination(tmp_path, records=10)
    content = bytearray(path.read_bytes())
    damage(content, len(content) // 2)
    path.write_bytes(content)
    losses: list[Loss] = []
    queue = DiskQueue(QueueStorage(directory=tmp_path), "q", 1200, FakeClock(), overflow="drop_oldest")
    queue.watch(losses.append)
    queue.open()
    put(queue, b"x" * 1200)
    assert {loss.cause for loss in losses} == {"damaged", "overflow"}
    assert sum(loss.records for loss in losses) == 11
    assert (held(queue), queue.items, queue.size) == ([b"x" * 1200], 2, 1200)
    queue.close()


@pytest.mark.parametrize("header", [0, 3])
def test_queue_that_drops_the_oldest_counts_a_damaged_payload_once(tmp_path: Path, header: int) -> None:
    """Its own header is whole: that it is lost is known when another one, before or behind it, is found damaged."""
    queue = opened(tmp_path)
    put(queue, *(b"record %3d " % number for number in range(4)))
    queue.close()
    (path,) = segments(tmp_path)
    content = bytearray(path.read_bytes())
    flipped(content, content.index(b"record %3d " % header))
    content[content.index(b"record   1 ")] ^= 1
    path.write_bytes(content)
    losses: list[Loss] = []
    queue = DiskQueue(QueueStorage(directory=tmp_path), "q", 44, FakeClock(), overflow="drop_oldest")
    queue.watch(losses.append)
    queue.open()
    put(queue, b"x" * 44)
    assert [(loss.cause, loss.records, loss.items) for loss in losses] == [
        ("damaged", 2, 4),
        ("overflow", 2, 4),
    ]
    assert (held(queue), queue.items, queue.size) == ([b"x" * 44], 2, 44)
    queue.close()


def test_queue_skips_records_of_a_version_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a downgrade."""
    queue = opened(tmp_path)
    put(queue, b"old")
    with monkeypatch.context() as patched:
        patched.setattr(queue_segment, "VERSION", 3)
        put(queue, b"new")
    queue.close()
    losses: list[Loss] = []
    again = opened(tmp_path, losses)
    assert held(again) == [b"old"]
    assert [(loss.detail, loss.records, loss.items) for loss in losses] == [("wrong_version", 1, 2)]
    again.close()


def test_queue_is_not_deceived_by_a_record_inside_a_payload(tmp_path: Path) -> None:
    """A client sends the bytes of a record, with any salt but ours, and the header before it goes bad."""
    queue = opened(tmp_path)
    forged = Telemetry(Signal.LOGS, b"forged", 1)
    crc = queue_segment.payload_crc(forged, 1234)
    payload = queue_segment.encode_record_header(forged, 2, 0, crc, 1234) + forged.payload
    put(queue, payload, b"good")
    queue.close()
    path = segments(tmp_path)[0]
    content = bytearray(path.read_bytes())
    content[queue_segment.SEGMENT_HEADER_SIZE + 8] ^= 0xFF
    path.write_bytes(content)
    again = opened(tmp_path)
    assert held(again) == [b"good"]
    again.close()


def test_queue_is_not_deceived_by_what_a_deleted_segment_left_on_the_disk(tmp_path: Path) -> None:
    """A crash may leave old blocks at the end of a file. Records in them are whole, and long delivered."""
    queue = opened(tmp_path)
    put(queue, b"a", b"b")
    (old,) = segments(tmp_path)
    blocks = old.read_bytes()[queue_segment.SEGMENT_HEADER_SIZE :]
    queue.release(2)
    queue.close()
    queue = opened(tmp_path)
    put(queue, b"c", b"d")
    queue.close()
    newest = segments(tmp_path)[-1]
    content = newest.read_bytes()[: -queue_segment.FOOTER_SIZE]  # as a crash leaves it
    newest.write_bytes(content + blocks)
    again = opened(tmp_path)
    assert (held(again), again.last) == ([b"c", b"d"], 4)
    assert put(again, b"e") == 5
    assert again.release(5) == 6
    assert again.items == 0
    again.close()


@pytest.mark.parametrize("released", [0, 2, 3])
def test_queue_is_not_deceived_by_its_own_records_a_second_time(tmp_path: Path, released: int) -> None:
    """Blocks of the same file behind its end: neither delivered again nor turning the numbers back."""
    losses: list[Loss] = []
    queue = opened(tmp_path, losses)
    put(queue, b"a", b"b", b"c")
    queue.release(released)
    [segment] = segments(tmp_path)
    content = segment.read_bytes()  # as a crash leaves it: without a footer
    queue.close()
    segment.write_bytes(content + content[queue_segment.SEGMENT_HEADER_SIZE :][:-1])
    again = opened(tmp_path, losses)
    assert (again.last, again.items) == (3, 2 * (3 - released))
    assert put(again, b"d") == 4
    assert held(again) == [b"a", b"b", b"c", b"d"][released:]
    assert {loss.records for loss in losses} == {0}


def test_queue_belongs_to_one_process(tmp_path: Path) -> None:
    """The second is told who has it."""
    queue = opened(tmp_path)
    with pytest.raises(StartError, match=f"pid {os.getpid()}"):
        opened(tmp_path)
    queue.close()
    opened(tmp_path).close()


def test_queue_opens_a_large_backlog_at_once(tmp_path: Path) -> None:
    """256 MiB in 16 files: nothing but their ends is read, and a batch at a time is in memory."""
    queue = opened(tmp_path, fsync=False)
    payload = os.urandom(1024 * 1024)
    for _ in range(256):
        put(queue, payload)
    queue.close()
    tracemalloc.start()
    began = time.monotonic()
    again = opened(tmp_path, fsync=False)
    assert time.monotonic() - began < 1.0
    records = again.read(0, BatchLimits(items_min=0, bytes_max=4 * 1024 * 1024))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(records) == 4
    assert peak < 16 * 1024 * 1024
    assert again.items == 512
    again.close()


def test_queue_drops_the_oldest_that_nobody_reads_if_told_to(tmp_path: Path) -> None:
    """What is being sent stays; what is dropped is told."""
    losses: list[Loss] = []
    queue = DiskQueue(QueueStorage(directory=tmp_path), "q", 10, FakeClock(), overflow="drop_oldest")
    queue.watch(losses.append)
    queue.open()
    put(queue, b"aaaa", b"bbbb")
    queue.read(0, BatchLimits(items_min=2, items_max=2))
    put(queue, b"cccc")
    assert [(loss.cause, loss.records, loss.items) for loss in losses] == [("overflow", 1, 2)]
    assert held(queue) == [b"aaaa", b"cccc"]
    queue.close()


def test_queue_drops_nothing_twice(tmp_path: Path) -> None:
    """What was dropped lies in its segment still, before what is dropped next."""
    losses: list[Loss] = []
    queue = DiskQueue(QueueStorage(directory=tmp_path), "q", 10, FakeClock(), overflow="drop_oldest")
    queue.watch(losses.append)
    queue.open()
    put(queue, b"aaaa", b"bbbb")
    for _ in range(2):
        put(queue, b"cccc")
    assert [(loss.cause, loss.records, loss.items) for loss in losses] == [("overflow", 1, 2)] * 2
    assert (held(queue), queue.items, queue.size) == ([b"cccc", b"cccc"], 4, 8)
    queue.close()


def reused(directory: Path) -> tuple[DiskQueue, Path, bytes]:
    """A queue whose newest segment is in a file that was another before; what that held."""
    queue = DiskQueue(QueueStorage(directory=directory, segment_size=4096), "q", 32768, FakeClock())
    queue._log._segment_size = 4096
    queue.open()
    former = b""
    for number in range(100):
        last = put(queue, b"old %3d " % number * 25)
        queue.release(last)
        if queue._log._active is not None and queue._log._active.version == queue_segment.REUSED_VERSION:
            return queue, queue._log._active.path, former
        queue.tidy()
        spare = next(iter(queue._log._spares.all), None)
        if spare is not None:
            former = spare.path.read_bytes()
    raise AssertionError("no file was used again")


def crashed(queue: DiskQueue, path: Path) -> None:
    """The process ends; the file is as it is now."""
    content = path.read_bytes()
    queue.close()
    path.write_bytes(content)


def test_queue_uses_released_files_again(tmp_path: Path) -> None:
    """No more of them than are needed; when it is closed, only those with records, and the newest, are left."""
    queue, _, _ = reused(tmp_path)
    for _ in range(200):
        queue.release(put(queue, b"new" * 100))
        queue.tidy()
        assert len(segments(tmp_path)) <= 4
    put(queue, b"last")
    queue.close()
    assert len(segments(tmp_path)) == 1
    again = opened(tmp_path)
    assert (held(again), again.last) == ([b"last"], queue.last)
    again.close()


@pytest.mark.parametrize("kept", range(0, 700, 50))
def test_queue_is_not_deceived_by_what_a_reused_file_held_before(tmp_path: Path, kept: int) -> None:
    """A crash leaves any part of what was not synced, and behind it whole records of what the file was."""
    queue, path, former = reused(tmp_path)
    put(queue, b"safe")
    active = queue._log._active
    assert active is not None
    synced, before = active.end, queue.last
    pieces = [Telemetry(Signal.LOGS, b"unsynced %d " % number * 10, 1) for number in range(4)]
    queue.reserve(sum(piece.size for piece in pieces))
    queue.append_all(pieces)
    content = path.read_bytes()
    crashed(queue, path)
    path.write_bytes(content[: synced + kept] + former[synced + kept :])
    losses: list[Loss] = []
    again = opened(tmp_path, losses)
    found = held(again)
    whole = [piece.payload for piece in pieces][: len(found) - 1]
    assert found == [b"safe", *whole]
    assert again.last == before + len(whole)
    assert not any(loss.records for loss in losses)
    assert put(again, b"next") == before + len(whole) + 1
    again.close()
    again = opened(tmp_path)
    assert held(again) == [b"safe", *whole, b"next"]
    again.close()


def test_queue_finds_records_in_a_reused_file_whose_header_is_damaged(tmp_path: Path) -> None:
    """They are told by its name, and what it held before is not among them."""
    queue, path, _ = reused(tmp_path)
    put(queue, b"safe", b"sound")
    crashed(queue, path)
    content = path.read_bytes()
    path.write_bytes(bytes(queue_segment.SEGMENT_HEADER_SIZE) + content[queue_segment.SEGMENT_HEADER_SIZE :])
    again = opened(tmp_path)
    assert (held(again), again.last) == ([b"safe", b"sound"], queue.last)
    again.close()


def test_queue_misses_nothing_in_a_segment_that_was_never_used(tmp_path: Path) -> None:
    """A crash finds a spare behind it, whose name is no record's number."""
    losses: list[Loss] = []
    queue = opened(tmp_path)
    last = put(queue, b"a" * 100, b"b" * 100)
    queue.close()
    queue = opened(tmp_path)
    queue._log._segment_size = 300
    queue.release(last)
    queue.tidy()
    files = {path: path.read_bytes() for path in segments(tmp_path)}
    assert len(files) == 2
    queue.close()
    for path, content in files.items():
        path.write_bytes(content)  # as a crash leaves it
    for _ in range(2):
        queue = opened(tmp_path, losses)
        assert (held(queue), losses) == ([], [])
        queue.close()
    queue = opened(tmp_path, losses)
    put(queue, b"c")
    assert (held(queue), losses) == ([b"c"], [])
    queue.close()


def test_queue_deletes_spare_files_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are the room that is left."""
    queue, _, _ = reused(tmp_path)
    for _ in range(30):
        queue.release(put(queue, b"new" * 100))
        queue.tidy()
    assert len(segments(tmp_path)) > 1
    real = os.pwritev

    def full(fd: int, buffers: Sequence[bytes], offset: int) -> int:
        if len(segments(tmp_path)) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "pwritev", full)
    put(queue, b"fits")
    assert held(queue) == [b"fits"]
    queue.close()


def test_queue_begins_a_segment_while_a_file_gets_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next record needs a new file at that moment: they must not have the same name."""
    queue = DiskQueue(QueueStorage(directory=tmp_path, segment_size=4096), "q", 32768, FakeClock())
    queue._log._segment_size = 4096
    queue.open()
    make, during = Spares.make, []

    def slow(spares: Spares, path: Path, number: int, size: int) -> Spare | None:
        during.append(put(queue, b"meanwhile" * 400))
        return make(spares, path, number, size)

    queue.release(put(queue, b"first" * 600))
    put(queue, b"second" * 500)
    with monkeypatch.context() as patched:
        patched.setattr(Spares, "make", slow)
        queue.tidy()
    assert during == [3]
    paths = segments(tmp_path)
    contents = [path.read_bytes() for path in paths]
    queue.close()
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    again = opened(tmp_path)
    assert held(again) == [b"second" * 500, b"meanwhile" * 400]
    again.close()


def test_what_is_kept_in_memory_is_bounded_and_changes_nothing(tmp_path: Path) -> None:
    """Sizes and records are the same from memory, from the disk, and from both."""
    found = []
    for tail_size in (0, 10, 1 << 20):
        queue = DiskQueue(
            QueueStorage(directory=tmp_path / str(tail_size)), "q", 1 << 20, FakeClock(), tail_size=tail_size
        )
        queue.open()
        put(queue, b"aaaa", b"bbb", b"cc", b"d")
        kept = [one.data.payload for one in queue._log.tail.behind(0)]
        assert sum(map(len, kept)) <= tail_size
        assert kept or not tail_size
        found.append(([queue.next_size(after) for after in range(5)], held(queue), queue.next_size(2)))
        queue.close()
    assert found[0][0] == [(2, 4), (2, 3), (2, 2), (2, 1), (0, 0)]
    assert found[0] == found[1] == found[2]
