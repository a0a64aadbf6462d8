"""Every fault in its short version; `make faults` plays the long ones and prints the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.catalogue import SHORT
from tests.faults.stage import Stage

# Clients that are cut off send an origin and not its parts: what is exported is a part of what adds up.
_UNBALANCED = {"kill-focus"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.unbalanced] if name in _UNBALANCED else []) for name in SHORT],
)
def test_nothing_acknowledged_is_lost_or_stored_twice(name: str, tmp_path: Path) -> None:
    """The oracle agrees: see the fault's own docstring."""
    outcome = SHORT[name](Stage(tmp_path))
    assert outcome.ok, "; ".join(outcome.problems)
