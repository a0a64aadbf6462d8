"""Waiting for a condition, with a deadline: what tests do instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, within_s: float = 20.0, what: str = "the condition") -> T:
    """Call `condition` until it returns something true, and return that.

    Raises:
        AssertionError: it did not within `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true within {within_s} s; last: {value!r}"
        time.sleep(0.02)
