"""Every fault by name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tests.faults import (
    attacks,
    cost_files,
    disks,
    kills,
    memory,
    outages,
    poison,
    refusals,
    reloads,
    repeats,
    sdk,
    soak,
)
from tests.faults.outcome import Outcome
from tests.faults.stage import Stage

Fault: TypeAlias = Callable[[Stage], Outcome]

SHORT: dict[str, Fault] = {
    **outages.FAULTS,
    **refusals.FAULTS,
    **kills.FAULTS,
    **cost_files.FAULTS,
    **disks.FAULTS,
    **memory.FAULTS,
    **poison.FAULTS,
    **reloads.FAULTS,
    **repeats.FAULTS,
    **sdk.FAULTS,
}
FAULTS: dict[str, Fault] = {**SHORT, **outages.LONG_ONLY, **attacks.FAULTS}
# Played only when asked for by name.
NAMED: dict[str, Fault] = {**FAULTS, **soak.LONG_ONLY}
