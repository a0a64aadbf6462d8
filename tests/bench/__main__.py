"""`make bench`: every figure, in one table, each beside the bar it is held against.

    python -m tests.bench                  all: about ten minutes
    python -m tests.bench encode copy_limit

Ends with the table; `BENCH_JSON=file` writes the same as JSON. Databases are found as for the tests
(tests/support/postgres.py), the peer Rotel if the package is installed (`pip install 'collector[bench]'`).
Figures are of this machine in this hour: read them as ratios.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Final

from collector.version import version_text
from tests.bench.figure import Figure, table
from tests.support.postgres import installation

# Modules of this package with `run() -> Iterable[Figure]`, in the order in which they run.
BENCHES: Final = (
    "scan",
    "encode",
    "receive",
    "cost",
    "focus",
    "attribution",
    "copy_limit",
    "end_to_end",
    "storage",
    "queries",
    "cost_storage",
    "sidecar",
    "latency",
    "memory",
)


def main() -> None:
    """Command line: see the module."""
    names = sys.argv[1:] or BENCHES
    if unknown := [name for name in names if name not in BENCHES]:
        sys.exit(f"no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    found = installation()
    print(f"{version_text()}; {found.description if found else 'no PostgreSQL'}; {os.cpu_count()} CPUs")
    figures: list[Figure] = []
    for name in names:
        began = time.monotonic()
        run: Iterable[Figure] = import_module(f"tests.bench.{name}").run()
        for figure in run:
            figures.append(figure)
            print(f"  {table([figure])}", file=sys.stderr, flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(table(figures))
    if path := os.environ.get("BENCH_JSON"):
        rows = [{**asdict(figure), "verdict": figure.verdict} for figure in figures]
        Path(path).write_text(json.dumps(rows, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
