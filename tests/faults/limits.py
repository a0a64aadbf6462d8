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

import pytest

from tests.support.eventually import eventually

_CGROUP = Path("/sys/fs/cgroup")


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


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A control group with a limit. `launcher`: a command that becomes, inside of it, the one that follows it."""

    path: Path
    unified: bool  # version 2
    launcher: tuple[str, ...]

    def held(self) -> int:
        """Bytes that its processes hold and the kernel cannot take back; 0 when it is gone."""
        with contextlib.suppress(OSError):
            lines = (self.path / "memory.stat").read_text().splitlines()
            numbers = {name: int(number) for name, number in (line.split() for line in lines)}
            return numbers["anon"] + numbers["kernel"] if self.unified else numbers["rss"]
        return 0

    def kills(self) -> int:
        """How many processes the kernel has ended for their memory."""
        file = "memory.events" if self.unified else "memory.oom_control"
        lines = (self.path / file).read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.split()[0] == "oom_kill")


@contextmanager
def memory_limit(*, mib: int) -> Iterator[MemoryGroup]:
    """A control group that may have `mib` MiB. Skips where there are none.

    The kernel ends a process that wants more, as it does in a container.
    """
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
        pytest.skip("needs a control group for memory, and the right to make one")
    try:
        enter = f'echo $$ > {path}/cgroup.procs && exec "$@"'
        yield MemoryGroup(path, unified, ("sh", "-c", enter, "sh"))
    finally:
        eventually(lambda: _removed(path), within_s=10, what="the end of a control group")


def _removed(path: Path) -> bool:
    with contextlib.suppress(OSError):  # as long as a process in it is being buried
        path.rmdir()
    return not path.exists()
