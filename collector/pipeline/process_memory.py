"""How much memory this process has, and how much it may have: from `/proc` and the control group.

In a container, the machine's memory says nothing: the kernel kills at the control group's limit
(Linux, Documentation/admin-guide/cgroup-v2.rst, "memory.max"; cgroup-v1/memory.rst, "memory.limit_in_bytes"). Outside of one, what
may be written has a limit of its own where somebody sets it (getrlimit(2), RLIMIT_DATA; `ulimit -d`, `LimitDATA=`).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_CGROUP: Final = Path("/sys/fs/cgroup")
# Version 1 says "no limit" with a number near 2^63, rounded to a page.
_NO_LIMIT: Final = 1 << 60

# glibc, mallopt(3) and malloc.h. Left to itself, malloc keeps whatever was large once: the size from which memory
# goes back to the system at once grows to that of the largest block ever freed, up to 32 MiB, twice that much stays at
# the top of each arena, and there are eight arenas per core.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
# Larger than anything that every request needs, or each would ask the system for it.
_GIVEN_BACK_BYTES: Final = 512 * 1024
_TOP_BYTES: Final = 2 * 1024 * 1024
_ARENAS: Final = 2


def give_memory_back() -> None:
    """Have the allocator return what is freed, instead of keeping it. Before the first thread starts; glibc only."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _GIVEN_BACK_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TOP_BYTES)
        mallopt(_M_ARENA_MAX, _ARENAS)


def resident_bytes(proc: Path = _PROC) -> int | None:
    """Memory of this process that is in RAM; None where the system does not tell (no `/proc`)."""
    try:
        resident_pages = (proc / "self" / "statm").read_text().split()[1]
    except (OSError, IndexError):
        return None
    return int(resident_pages) * os.sysconf("SC_PAGE_SIZE")


def available_bytes(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int | None:
    """Memory that this process may use: the least of the machine's, its control groups' and its own. None if unknown."""
    return min([*_cgroup_limits(proc, cgroup), *_data_limit(proc), *_machine(proc)], default=None)


def _data_limit(proc: Path) -> Iterator[int]:
    try:
        lines = (proc / "self" / "limits").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        if line.startswith("Max data size") and (soft := line.split()[3]).isdecimal():
            yield int(soft)


def _machine(proc: Path) -> Iterator[int]:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        if line.startswith("MemTotal:"):
            yield int(line.split()[1]) * 1024


def _cgroup_limits(proc: Path, cgroup: Path) -> Iterator[int]:
    """The limit of each control group that this process is in, and of those above."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:  # "0::/path" in version 2, "7:memory:/path" in version 1
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _limits_upward(cgroup, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_upward(cgroup / "memory", path, "memory.limit_in_bytes")


def _limits_upward(root: Path, path: str, file_name: str) -> Iterator[int]:
    # In a container without a namespace of its own the path is the host's and not to be found here; the
    # root of what is mounted is the container's group then.
    group = root / path.lstrip("/")
    for directory in (group, *group.parents):
        try:
            text = (directory / file_name).read_text().strip()
        except OSError:
            text = ""
        if text.isdecimal() and int(text) < _NO_LIMIT:
            yield int(text)
        if directory == root:
            return
