"""`collector cost demo`, as a newcomer starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_costs_of_a_real_run_add_up(tmp_path: Path) -> None:
    """Charges, parts and both FOCUS files have the same sum, which is not zero; a second run writes nothing."""
    result = subprocess.run(
        [sys.executable, "-m", "collector", "cost", "demo", "--seconds", "6", "--data-dir", str(tmp_path)],
        cwd=ROOT,
        env={
            name: value for name, value in os.environ.items() if not name.startswith(("COLLECTOR_", "OTEL_"))
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    sums = re.findall(r"^ *([\d.]+) USD  =  ", result.stdout, re.MULTILINE)
    assert len(sums) == 4
    assert len(set(sums)) == 1
    assert float(sums[0]) > 0
    assert "and on a second run 0" in result.stdout
    assert "__idle__" in result.stdout
    assert (tmp_path / "focus-1.2.csv").exists()
    assert (tmp_path / "focus-1.4.metadata.json").exists()
    if find_spec("focus_data_toolkit"):
        assert "focus-data-toolkit is content with focus-1.4.csv" in result.stdout
