"""How final a window is.

A window is *open* while telemetry comes in, *provisional* when its lateness is over, and *closed* when its billing
period is, from when on its rows are never changed (FOCUS 1.4, "Correction Handling"; append-only, ledger style).
What a change becomes in each state is the business of `collector.accounting.revisions`.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from collector.cost.calendar import SECOND_NS, day_of, day_start, next_month
from collector.cost.config import CostConfig
from collector.cost.record import Period


class WindowState(Enum):
    """How final a window is."""

    OPEN = "open"
    PROVISIONAL = "provisional"
    CLOSED = "closed"


def window_state(period: Period, now_unix_nano: int, config: CostConfig) -> WindowState:
    """Return the state of a window at an instant: its month is closed on a day of the next one."""
    month = next_month(day_of(period.start_unix_nano))
    closed_at = day_start(month + timedelta(days=config.close.day_of_month - 1))
    if now_unix_nano >= closed_at:
        return WindowState.CLOSED
    settled_at = period.end_unix_nano + round(config.lateness * SECOND_NS)
    return WindowState.PROVISIONAL if now_unix_nano >= settled_at else WindowState.OPEN
