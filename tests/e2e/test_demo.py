"""`collector demo`, as a newcomer starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_demo_shows_that_what_was_sent_is_stored(tmp_path: Path) -> None:
    """It ends with 0, and its table shows equal counts of all three signals, none of them zero."""
    result = subprocess.run(
        [sys.executable, "-m", "collector", "demo", "--seconds", "3", "--data-dir", str(tmp_path)],
        cwd=ROOT,
        env={
            name: value for name, value in os.environ.items() if not name.startswith(("COLLECTOR_", "OTEL_"))
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    counts = dict(re.findall(r"│ (traces|metrics|logs) +│ +(\d+) │ +\2 │", result.stdout))
    assert counts.keys() == {"traces", "metrics", "logs"}
    assert all(int(count) for count in counts.values())
    assert "The slowest trace" in result.stdout
    assert "shop.revenue per second" in result.stdout
    assert (tmp_path / "collector.db").exists()
