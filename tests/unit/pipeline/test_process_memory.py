"""How much memory there is, in the file trees that kernels and container runtimes make."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from collector.pipeline.process_memory import available_bytes, resident_bytes

MEMINFO = "MemTotal:       16000 kB\nMemFree:         5000 kB\n"
LIMITS = "Limit   Soft Limit   Hard Limit   Units\nMax stack size   8388608   unlimited   bytes\n"


def tree(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in {"proc/meminfo": MEMINFO, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "proc", root / "cgroup"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, 16_384_000, id="no control groups"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "cgroup/memory.max": "1000000\n"}, 1_000_000, id="v2 container"
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "cgroup/memory.max": "max\n"}, 16_384_000, id="v2 no limit"
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/pod/app\n",
                "cgroup/pod/app/memory.max": "max\n",
                "cgroup/pod/memory.max": "2000000\n",
            },
            2_000_000,
            id="v2 limit above",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/host/path\n", "cgroup/memory.max": "3000000\n"},
            3_000_000,
            id="v2 host path",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "9:cpu:/x\n7:memory:/docker/1\n",
                "cgroup/memory/docker/1/memory.limit_in_bytes": "4000000\n",
                "cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            4_000_000,
            id="v1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "7:memory:/\n",
                "cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            16_384_000,
            id="v1 no limit",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "cgroup/memory.max": "99000000000\n"},
            16_384_000,
            id="more than there is",
        ),
        pytest.param(
            {"proc/self/limits": f"{LIMITS}Max data size {5_000_000:>20} {6_000_000:>20} bytes\n"},
            5_000_000,
            id="of what may be written",
        ),
        pytest.param(
            {"proc/self/limits": f"{LIMITS}Max data size  unlimited  unlimited  bytes\n"},
            16_384_000,
            id="none of what may be written",
        ),
    ],
)
def test_available_memory_is_the_least_limit(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    """The kernel kills at the lowest of all limits, whatever the machine has."""
    assert available_bytes(*tree(tmp_path, files)) == expected


def test_available_memory_is_unknown_without_proc(tmp_path: Path) -> None:
    """A system without `/proc` tells nothing."""
    assert available_bytes(tmp_path / "proc", tmp_path / "cgroup") is None
    assert resident_bytes(tmp_path / "proc") is None


def test_resident_memory_grows_with_what_is_allocated() -> None:
    """Measured on this process: 64 MiB written to are 64 MiB more, give or take."""
    before = resident_bytes()
    ballast = bytearray(os.urandom(1024) * 64 * 1024)
    after = resident_bytes()
    assert before is not None
    assert after is not None
    assert 60 * 1024 * 1024 < after - before < 160 * 1024 * 1024
    assert len(ballast) == 64 * 1024 * 1024
