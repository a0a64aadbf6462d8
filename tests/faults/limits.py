"""Small disks and little memory: what the machine must be asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.daemon import Daemon
from tests.support.eventually import eventually

_CGROUP = Path("/sys/fs/cgroup")
# Of each thread, of which there are 20 to 50.
_STACK_KIB = 512


@contextmanager
def small_filesystem(*, mib: int) -> Iterator[Path]:
    """A folder on a file system of its own that holds `mib` MiB. Needs the right to mount: else skips."""
    # Not in the test's own directory: pytest's are closed to the user that a server runs as.
    parent = Path(tempfile.mkdtemp(prefix="collector-small-"))
    parent.chmod(0o755)
    folder = parent / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(parent)
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(parent)


class MemoryLimit(Protocol):
    """So much memory, and what becomes of a daemon that wants more."""

    @property
    def launcher(self) -> tuple[str, ...]:
        """A command that becomes, within the limit, the one that follows it."""
        ...

    def held(self, process: int) -> int:
        """Bytes that count and that the kernel cannot take back; 0 when the process is gone."""
        ...

    def problems(self, daemon: Daemon) -> list[str]:
        """What tells that the daemon wanted more."""
        ...


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A control group: the kernel ends a process that wants more, as it does in a container."""

    path: Path
    unified: bool  # version 2
    launcher: tuple[str, ...]

    def held(self, process: int) -> int:
        """See `MemoryLimit`."""
        with contextlib.suppress(OSError):
            lines = (self.path / "memory.stat").read_text().splitlines()
            numbers = {name: int(number) for name, number in (line.split() for line in lines)}
            return numbers["anon"] + numbers["kernel"] if self.unified else numbers["rss"]
        return 0

    def problems(self, daemon: Daemon) -> list[str]:
        """See `MemoryLimit`."""
        file = "memory.events" if self.unified else "memory.oom_control"
        lines = (self.path / file).read_text().splitlines()
        kills = sum(int(line.split()[1]) for line in lines if line.split()[0] == "oom_kill")
        return [f"the kernel ended {kills} processes"] if kills else []


@dataclass(frozen=True, slots=True)
class DataLimit:
    """RLIMIT_DATA: the kernel refuses memory to a process that wants more, which Python raises, or ends it.

    What counts is all that the process may write, and nothing else: neither what the kernel holds for it nor the pages of
    files, as in a control group. But also what was never touched: of the stacks of threads that is nearly all, so they
    are made small. Of the rest it is 5 MiB or so.
    """

    launcher: tuple[str, ...]

    def held(self, process: int) -> int:
        """See `MemoryLimit`."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                if line.startswith("VmData:"):
                    return int(line.split()[1]) * 1024
        return 0

    def problems(self, daemon: Daemon) -> list[str]:
        """See `MemoryLimit`."""
        refused = [line for line in daemon.stderr if "MemoryError" in line or "allocate memory" in line]
        return [f"memory was refused {len(refused)} times: {refused[0][-300:]}"] if refused else []


@contextmanager
def memory_limit(*, mib: int) -> Iterator[MemoryLimit]:
    """A control group that may have `mib` MiB; where none can be made, `data_limit`."""
    name = f"collector-faults-{os.getpid()}"
    unified = (_CGROUP / "cgroup.controllers").exists()
    if unified:
        path, limit = _CGROUP / name, "memory.max"
    else:
        path, limit = _CGROUP / "memory" / name, "memory.limit_in_bytes"
    try:
        path.mkdir()
        (path / limit).write_text(str(mib << 20))
        for swap in ("memory.swap.max", "memory.memsw.limit_in_bytes"):
            if (path / swap).exists():
                (path / swap).write_text("0" if unified else str(mib << 20))
    except OSError:
        with contextlib.suppress(OSError):
            path.rmdir()
        yield data_limit(mib=mib)
        return
    try:
        enter = f'echo $$ > {path}/cgroup.procs && exec "$@"'
        yield MemoryGroup(path, unified, ("sh", "-c", enter, "sh"))
    finally:
        eventually(lambda: _removed(path), within_s=10, what="the end of a control group")


def data_limit(*, mib: int) -> DataLimit:
    """`mib` MiB that may be written. Needs no rights."""
    enter = f'ulimit -s {_STACK_KIB} && ulimit -d {mib << 10} && exec "$@"'
    return DataLimit(("sh", "-c", enter, "sh"))


def _removed(path: Path) -> bool:
    with contextlib.suppress(OSError):  # as long as a process in it is being buried
        path.rmdir()
    return not path.exists()
