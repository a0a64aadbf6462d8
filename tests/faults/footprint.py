"""What a process holds: threads, file descriptors, memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.daemon import Daemon

MIB = 1024 * 1024
# What a disturbance may leave behind: the allocator does not give everything back.
_RSS_SLACK = 12 * MIB
# Threads of a pool begin when work finds no idle one, so how many there are depends on what came at once: of the three
# that wait for the disk, per transport, one is there as soon as anything is. A leak shows with every round.
_THREADS_SLACK = 2 * 2


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process holds."""

    threads: int
    files: int
    rss: int

    def problems(self, later: Footprint) -> list[str]:
        """What has grown."""
        grown = []
        if later.threads > self.threads + _THREADS_SLACK:
            grown.append(f"threads from {self.threads} to {later.threads}")
        if later.files > self.files + 2:  # a segment more or less, a connection of the admin server
            grown.append(f"file descriptors from {self.files} to {later.files}")
        if later.rss > self.rss + _RSS_SLACK:
            grown.append(f"RSS from {self.rss // MIB} to {later.rss // MIB} MiB")
        return grown

    def __str__(self) -> str:
        return f"{self.threads} threads, {self.files} files, {self.rss // MIB} MiB"


def footprint(daemon: Daemon) -> Footprint:
    """What the daemon holds now."""
    process = Path(f"/proc/{daemon.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Footprint(
        threads=int(status["Threads"]),
        files=sum(1 for _ in (process / "fd").iterdir()),
        rss=int(status["VmRSS"].split()[0]) * 1024,
    )
