"""Break things for real, and print what became of every item.

    python -m tests.faults                         all, long
    python -m tests.faults --short kill disk-full  some, as `make test` plays them
    python -m tests.faults outage --seconds 60 --rate 1000

Ends with a table and exit code 1 if anything fell short. FAULTS_JSON=file also writes it as JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS, NAMED, SHORT
from tests.faults.outcome import Outcome, table
from tests.faults.stage import Stage


def main() -> int:
    """Command line: see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="FAULT", help=f"one of: {', '.join(NAMED)}")
    parser.add_argument("--short", action="store_true", help="as in `make test`")
    parser.add_argument("--seconds", type=float, help="how long the database is away")
    parser.add_argument("--rate", type=float, help="items per second")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMED]
    if unknown:
        parser.error(f"no fault {', '.join(unknown)}; there are {', '.join(NAMED)}")
    rows = []
    for name in options.names or (SHORT if options.short else FAULTS):
        print(f"{name} …", file=sys.stderr, flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="collector-fault-") as directory:
            stage = Stage(Path(directory), long=not options.short, seconds=options.seconds, rate=options.rate)
            outcome = _play(name, stage)
        if outcome is not None:
            rows.append((name, outcome, time.monotonic() - began))
            print(table(rows[-1:]).partition("\n")[2], file=sys.stderr, flush=True)
    print(table(rows))
    if path := os.environ.get("FAULTS_JSON"):
        found = [
            {"fault": name, **dataclasses.asdict(one), "ok": one.ok, "seconds": round(seconds, 1)}
            for name, one, seconds in rows
        ]
        Path(path).write_text(json.dumps(found, indent=1))
    return 0 if all(one.ok for _, one, _ in rows) else 1


def _play(name: str, stage: Stage) -> Outcome | None:
    try:
        return NAMED[name](stage)
    except pytest.skip.Exception as skipped:
        print(f"{name}: left out: {skipped}", file=sys.stderr)
        return None
    except Exception as error:  # noqa: BLE001  the table must come, whatever a fault met
        traceback.print_exc()
        return Outcome(problems=(f"{type(error).__name__}: {error}",))


if __name__ == "__main__":
    sys.exit(main())
