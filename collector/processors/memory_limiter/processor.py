"""The `memory_limiter` processor: refuses data while the process has too much memory.

The backstop and not the mechanism: queues and requests in work are bounded in bytes of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Consumer, Settings, State
from collector.pipeline.process_memory import available_bytes, resident_bytes
from collector.processors.memory_limiter.config import MemoryLimiterConfig
from collector.processors.memory_limiter.garbage import OF_PROCESS, Garbage

_MIB: Final = 1024 * 1024


class MemoryLimiter:
    """Passes on what there is memory for. Has no thread: whoever brings data when a check is due makes it."""

    def __init__(
        self,
        settings: Settings,
        config: MemoryLimiterConfig,
        consumer: Consumer,
        *,
        resident: Callable[[], int | None] = resident_bytes,
        available: Callable[[], int | None] = available_bytes,
        garbage: Garbage = OF_PROCESS,
    ) -> None:
        self._settings = settings
        self._config = config
        self._consumer = consumer
        self._resident = resident
        self._available = available
        self._garbage = garbage
        self._limits: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._checked_at = float("-inf")
        self._refusing = ""  # why; empty: not refusing
        meters, name = settings.meters, str(settings.id)
        self._accepted = {signal: meters.memory_limiter_accepted[signal].labels(name) for signal in Signal}
        self._refused = {signal: meters.memory_limiter_refused[signal].labels(name) for signal in Signal}

    def start(self) -> None:
        """Work out the limits."""
        limits = self._config.limits(self._available())
        if limits is None or self._resident() is None:
            self._settings.report(
                State.OK, "this system does not tell how much memory is used: nothing is refused"
            )
            return
        self._limits = limits
        soft, hard = limits
        self._settings.report(State.OK, f"soft limit {soft // _MIB} MiB, hard limit {hard // _MIB} MiB")

    def shutdown(self) -> None:
        """Nothing to end."""

    def consume(self, data: Telemetry, /) -> None:
        """See `Consumer`. Refuses (retryable) above the soft limit."""
        if self._limits is not None:
            self._check(*self._limits)
        if self._refusing:
            self._refused[data.signal].inc(data.items)
            raise RetryableError(
                self._refusing, reason="memory_limited", retry_after_s=float(self._config.check_interval)
            )
        self._consumer.consume(data)
        self._accepted[data.signal].add(data.items)

    def _check(self, soft: int, hard: int) -> None:
        now = self._settings.clock.monotonic()
        if now - self._checked_at < self._config.check_interval or not self._lock.acquire(blocking=False):
            return
        try:
            self._checked_at = now
            used = self._resident() or 0
            if used >= soft:
                interval = (
                    self._config.min_gc_interval_when_hard_limited
                    if used >= hard
                    else self._config.min_gc_interval_when_soft_limited
                )
                if self._garbage.collect(now, float(interval)):
                    used = self._resident() or 0
            self._decide(used, soft)
        finally:
            self._lock.release()

    def _decide(self, used: int, soft: int) -> None:
        refusing = used >= soft
        message = f"the process has {used // _MIB} MiB, the soft limit is {soft // _MIB} MiB"
        if refusing:
            self._settings.report(State.DEGRADED, f"refusing data: {message}")
        elif self._refusing:
            self._settings.report(State.OK, f"taking data again: {message}")
        self._refusing = message if refusing else ""
