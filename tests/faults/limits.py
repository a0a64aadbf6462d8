"""Small disks and little memory: what the machine must be asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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


@contextmanager
def memory_limit(*, mib: int) -> Iterator[tuple[str, ...]]:
    """A control group that may have `mib` MiB; gives the launcher of a process in it. Skips where there are none.

    The kernel ends a process that wants more, as it does in a container.
    """
    name = f"collector-faults-{os.getpid()}"
    if (_CGROUP / "cgroup.controllers").exists():
        group, limit = _CGROUP / name, "memory.max"
    else:
        group, limit = _CGROUP / "memory" / name, "memory.limit_in_bytes"
    try:
        group.mkdir()
        (group / limit).write_text(str(mib << 20))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip("needs a control group for memory, and the right to make one")
    try:
        yield ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")
    finally:
        group.rmdir()
