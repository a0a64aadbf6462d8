"""The directory of a queue on disk, apart from its segments: who may use it, what it is called, how far it was read.

lock        held as long as the queue is open (flock), so that two processes never write into one queue
queue       the queue's id and salt
position    up to where records were released and given to the sender, in two slots that are written in turns
quarantine/ what was damaged, as it was found
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import struct
import time
import uuid
from pathlib import Path
from typing import Final
from uuid import UUID
from zlib import crc32

from collector.pipeline.component import StartError

_QUARANTINE_SIZE_MAX: Final = 64 * 1024 * 1024
_POSITION: Final = struct.Struct("<4sIQQ")  # magic, 0, generation, sequence number
_POSITION_MAGIC: Final = b"OTPO"
_GIVEN_MAGIC: Final = (
    b"OTGI"  # the same form, behind the position: who does not know it reads the position alone
)
_CRC: Final = struct.Struct("<I")
_NOTE_SIZE: Final = _POSITION.size + _CRC.size
_LOCK_ATTEMPTS: Final = 3
_LOCK_PAUSE_S: Final = 0.02
# Each slot in a block of its own: whatever happens while one is written, the other is whole.
_SLOT_SIZE: Final = 4096


def queues_in(directory: Path) -> list[Path]:
    """The directories of the queues that are kept in `directory`."""
    return sorted(path.parent for path in directory.glob("*/queue"))


def read_position(path: Path) -> int:
    """How far the queue in `path` was released, without opening it."""
    try:
        fd = os.open(path / "position", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        return max(_position_slots(fd), default=(0, 0, 0))[1]
    finally:
        os.close(fd)


def read_owner(path: Path) -> int | None:
    """The process that has the queue in `path` open; None: no process has. 0: one that did not say who it is."""
    try:
        fd = os.open(path / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go of at once, by closing
    except BlockingIOError:
        text = os.pread(fd, 32, 0).strip()
        return int(text) if text.isdigit() else 0
    else:
        return None
    finally:
        os.close(fd)


def write_durably(path: Path, content: bytes) -> None:
    """Write a small file as a whole: after a power failure it is there, or what was there before.

    Raises:
        OSError: it is as before.
    """
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_directory(path.parent)


def sync_file(path: Path) -> None:
    """Have the disk confirm what is in a file.

    Raises:
        OSError: it did not.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _position_slots(fd: int) -> list[tuple[int, int, int]]:
    """Generation, position and what was given to the sender, of the slots that are whole."""
    slots: list[tuple[int, int, int]] = []
    for number in range(2):
        content = os.pread(fd, 2 * _NOTE_SIZE, number * _SLOT_SIZE)
        if (position := _read_note(content, _POSITION_MAGIC)) is not None:
            generation, released = position
            given = _read_note(content[_NOTE_SIZE:], _GIVEN_MAGIC)
            # Another generation: an earlier version has written the position since.
            if given is None or given[0] != generation:
                given = generation, released
            slots.append((generation, released, given[1]))
    return slots


def _note(magic: bytes, generation: int, sequence: int) -> bytes:
    fields = _POSITION.pack(magic, 0, generation, sequence)
    return fields + _CRC.pack(crc32(fields))


def _read_note(content: bytes, expected: bytes) -> tuple[int, int] | None:
    """Generation and sequence number, if it is whole."""
    if len(content) < _NOTE_SIZE:
        return None
    magic, _, generation, sequence = _POSITION.unpack_from(content)
    (crc,) = _CRC.unpack_from(content, _POSITION.size)
    if magic != expected or crc != crc32(content[: _POSITION.size]):
        return None
    return generation, sequence


class QueueDirectory:
    """Open from `open` to `close`. Nothing in it needs space on the disk once it is open, except `quarantine`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = uuid.UUID(int=0)
        self.salt = 0
        self._lock_fd = -1
        self._position_fd = -1
        self._generation = 0
        self._quarantined = 0

    def open(self) -> tuple[int, int]:
        """Lock it, making what is missing; return what was written last by `write_position`.

        Raises:
            StartError: it cannot be used.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock()
            self._load_identity()
            position = self._load_position()
            self._quarantined = sum(
                path.stat().st_size for path in (self.path / "quarantine").glob("*") if path.is_file()
            )
        except OSError as error:
            self.close()
            raise StartError(
                f"the sending queue cannot use {error.filename or self.path}: {error.strerror}; the collector's "
                "user must be able to write there"
            ) from error
        except StartError:
            self.close()
            raise
        return position

    def close(self) -> None:
        """Let go of the lock. Safe twice."""
        for fd in (self._position_fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._position_fd = self._lock_fd = -1

    def _lock(self) -> None:
        self._lock_fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(_LOCK_ATTEMPTS):
            try:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
            time.sleep(_LOCK_PAUSE_S)  # `read_owner` holds it for a moment
        else:
            owner = os.pread(self._lock_fd, 32, 0).decode(errors="replace").strip() or "unknown"
            raise StartError(
                f"the sending queue in {self.path} is in use by another process (pid {owner}): stop it, or give "
                "each collector a 'file_storage' directory of its own"
            )
        with contextlib.suppress(
            OSError
        ):  # only for the message above; a full disk is no reason not to start
            os.ftruncate(self._lock_fd, 0)
            os.pwrite(self._lock_fd, b"%d\n" % os.getpid(), 0)

    # --- identity ---------------------------------------------------------------------------------------

    def _load_identity(self) -> None:
        try:
            fields = json.loads((self.path / "queue").read_text())
            self.id, self.salt = UUID(fields["id"]), int(fields["salt"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            self.renew()

    def renew(self) -> None:
        """Take a new id, from the system's randomness: ids must not repeat, in whatever process.

        Raises:
            OSError: it cannot be written down.
        """
        fresh = uuid.uuid4()
        salt = self.salt or int.from_bytes(uuid.uuid4().bytes[:4], "little")
        fields = json.dumps({"version": 1, "id": str(fresh), "salt": salt})
        write_durably(self.path / "queue", f"{fields}\n".encode())
        self.id, self.salt = fresh, salt

    def sync(self) -> None:
        """Make the names of the files in it durable."""
        _sync_directory(self.path)

    # --- position ---------------------------------------------------------------------------------------

    def _load_position(self) -> tuple[int, int]:
        self._position_fd = os.open(self.path / "position", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        slots = _position_slots(self._position_fd)
        if not slots:
            # Blocks that are there already can be written when the disk is full.
            os.pwrite(self._position_fd, bytes(2 * _SLOT_SIZE), 0)
            self.write_position(0, 0, durable=True)
            self.sync()
            return 0, 0
        self._generation, released, given = max(slots)
        return released, given

    def write_position(self, released: int, given: int, *, durable: bool) -> None:
        """Note the position, and up to where records were given to the sender, which may be stored already.

        `durable`: so that it survives a power failure, not only the process.

        Raises:
            OSError: the disk failed; the position before is still there.
        """
        self._generation += 1
        slot = _note(_POSITION_MAGIC, self._generation, released) + _note(
            _GIVEN_MAGIC, self._generation, given
        )
        os.pwrite(self._position_fd, slot, self._generation % 2 * _SLOT_SIZE)
        if durable:
            os.fdatasync(self._position_fd)

    # --- quarantine -------------------------------------------------------------------------------------

    def quarantine(self, name: str, content: bytes) -> Path | None:
        """Keep damaged bytes for a person to look at; None where there is no room for them."""
        folder = self.path / "quarantine"
        if self._quarantined + len(content) > _QUARANTINE_SIZE_MAX:
            return None
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            path = folder / name
            path.write_bytes(content)
        except OSError:
            return None
        self._quarantined += len(content)
        return path
