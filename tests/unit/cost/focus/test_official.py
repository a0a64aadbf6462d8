"""What the FOCUS project's own validator says of our file, where there is one.

It wants Python 3.12 and pyarrow before 22, so it lives in an environment of its own: `COLLECTOR_TEST_FOCUS_VALIDATOR` is its command,
or it is on the PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from collector.cost.focus.rows import FocusOptions, FocusRows
from collector.cost.focus.write_csv import csv_chunks
from tests.support.ledger import ledger

_COMMAND: Final = os.environ.get("COLLECTOR_TEST_FOCUS_VALIDATOR") or shutil.which("focus-validator")
# Its model of FOCUS 1.2 demands these of charges of which the text of FOCUS 1.2 says that they MUST be null, or may be.
_CONTRADICTIONS: Final = frozenset({"CapacityReservationStatus", "CommitmentDiscountStatus", "InvoiceId"})

pytestmark = pytest.mark.skipif(
    _COMMAND is None, reason="needs focus-validator: see COLLECTOR_TEST_FOCUS_VALIDATOR"
)


def _failures(path: Path) -> set[str]:
    """The rules that failed."""
    assert _COMMAND is not None
    python = Path(_COMMAND).with_name("python")
    where = "import focus_validator; print(focus_validator.__path__[0])"
    package = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run(
        [_COMMAND, "--data-file", path, "--validate-version", "1.2", "--block-download"],
        cwd=Path(package).parent,  # it looks for the list of currencies below
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert "PASS" in done.stdout, done.stderr[-2000:]
    return set(re.findall(r"^\W* ?([\w-]+): FAIL", done.stdout, re.MULTILINE))


def test_the_official_validator_finds_nothing_but_what_it_contradicts_itself_in(tmp_path: Path) -> None:
    """A ledger with one of each kind of charge, as FOCUS 1.2; and it can tell a wrong file."""
    path = tmp_path / "ours.csv"
    ours = b"".join(csv_chunks(FocusRows(ledger(), FocusOptions(version="1.2"))))
    path.write_bytes(ours)
    failures = _failures(path)
    assert {rule.split("-")[0] for rule in failures} <= _CONTRADICTIONS
    path.write_bytes(ours.replace(b"BilledCost", b"BilledCosts", 1))  # a column that must be there
    assert _failures(path) - failures
