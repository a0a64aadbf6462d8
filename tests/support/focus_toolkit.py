"""focus-data-toolkit (MIT): FOCUS files of another hand. Modules that use it call `require` first."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from collector.cost.focus.columns import BY_NAME, columns_of

PROVIDERS: Final = ("aws", "azure", "gcp")
VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3", "1.4")
_GENERATED: Final = ("1.2", "1.3")


def require() -> None:
    """Skip the module where the toolkit is not installed."""
    pytest.importorskip(
        "focus_data_toolkit", reason="focus-data-toolkit is not installed: pip install 'collector[test]'"
    )


def toolkit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run its command."""
    command = [sys.executable, "-m", "focus_data_toolkit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def generate(folder: Path, provider: str, version: str, *, rows: int, seed: int = 7) -> Path:
    """Have a bill made and return its path.

    The toolkit makes 1.2 and 1.3. 1.4 is its conversion of a 1.3; 1.0 and 1.1 are a 1.2 without the columns that came later.
    """
    source = {"1.0": "1.2", "1.1": "1.2", "1.4": "1.3"}.get(version, version)
    assert source in _GENERATED
    _run(
        "generate", "--provider", provider, "--focus-version", source, "--rows", str(rows), "--seed", str(seed),
        "--out", folder,
    )  # fmt: skip
    path = folder / f"focus_{source.replace('.', '_')}_cost_and_usage_{provider}.csv"
    if version == "1.4":
        commitments = folder / path.name.replace("cost_and_usage", "contract_commitment")
        out = folder / "converted"
        _run(
            "convert", "--cost-and-usage", path, "--contract-commitment", commitments, "--mode", "synthetic",
            "--exit-policy", "pipeline",
            "--out", out,
        )  # fmt: skip
        (path,) = out.glob("*cost_and_usage.csv")
    elif version != source:
        path = _without_later_columns(path, version)
    return path


def _run(*arguments: str | Path) -> None:
    done = toolkit(*arguments)
    assert done.returncode == 0, done.stderr


def _without_later_columns(path: Path, version: str) -> Path:
    known = columns_of(version)
    with path.open(newline="") as source:
        rows = list(csv.DictReader(source))
    names = [name for name in rows[0] if name in known or name not in BY_NAME]
    older = path.with_name(f"focus_{version.replace('.', '_')}.csv")
    with older.open("w", newline="") as sink:
        writer = csv.DictWriter(sink, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return older
