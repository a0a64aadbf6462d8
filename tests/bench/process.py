"""CPU time and memory of processes, from /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """User and system time of a process, in seconds."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def tree_cpu_s(pid: int) -> float:
    """The same of a process and its children, those that have ended included. For PostgreSQL's postmaster."""
    fields = _stat(pid)
    total = sum(int(field) for field in fields[11:15]) / _TICKS
    for child in _children(pid):
        with suppress(FileNotFoundError):  # it has ended meanwhile, and is in its parent's figure from now on
            total += cpu_s(child)
    return total


def memory_mb(pid: int, entry: str = "VmRSS") -> float:
    """Resident memory now (`VmRSS`) or at its peak (`VmHWM`), in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(entry):
            return int(line.split()[1]) / 1024
    raise KeyError(entry)


def _stat(pid: int) -> list[str]:
    # The second field is the command in parentheses and may hold anything.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found
