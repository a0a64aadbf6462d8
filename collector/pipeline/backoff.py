"""When to try again. Takes time and randomness as arguments, waits for nothing."""

from __future__ import annotations

import random

from collector.pipeline.sender_config import RetryConfig


class Backoff:
    """Growing, randomised waits between the attempts at one thing."""

    def __init__(self, config: RetryConfig, rng: random.Random) -> None:
        self._config = config
        self._rng = rng
        self._interval_s = float(config.initial_interval)
        self._since: float | None = None

    def reset(self) -> None:
        """Forget all failures: the next thing starts with the first wait again."""
        self._interval_s = float(self._config.initial_interval)
        self._since = None

    def failed(self, now: float, retry_after_s: float | None = None) -> float | None:
        """Note a failure at `now`, and return the time of the next attempt; None: give up.

        Args:
            now: Monotonic seconds.
            retry_after_s: The delay that the destination asked for. The wait is never shorter.
        """
        config = self._config
        if not config.enabled:
            return None
        if self._since is None:
            self._since = now
        spread = config.randomization_factor * self._interval_s
        wait_s = self._interval_s + self._rng.uniform(-spread, spread)
        if retry_after_s is not None:
            wait_s = max(wait_s, retry_after_s)
        self._interval_s = min(self._interval_s * config.multiplier, float(config.max_interval))
        if config.max_elapsed_time and now + wait_s - self._since > config.max_elapsed_time:
            return None
        return now + wait_s
