"""The checklist itself: nothing on it is forgotten."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conformance.rows import ROWS

HERE = Path(__file__).parent


def test_every_row_has_a_test_or_a_reason() -> None:
    """And no test is about a row that is not on the list."""
    texts = [path.read_text() for path in HERE.glob("test_*.py")]
    tested = {
        row for text in texts for row in re.findall(r'^@pytest\.mark\.row\("(\w+)"\)', text, re.MULTILINE)
    }
    assert tested | {row.id for row in ROWS.values() if row.untested} == ROWS.keys()
    assert not [row.id for row in ROWS.values() if row.untested and row.id in tested]
