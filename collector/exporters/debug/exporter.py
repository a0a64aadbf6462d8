"""The `debug` exporter: shows what arrives. The smallest exporter there is; a good one to read first."""

from __future__ import annotations

import sys
from typing import TextIO

from collector.exporters.debug.config import DebugConfig
from collector.exporters.debug.text import counts, everything, item_lines
from collector.model.signal import Signal
from collector.pipeline.component import Batch, CheckStep, Settings


class Sampler:
    """Which batches of a second are shown: the first few, then every n-th."""

    def __init__(self, initial: int, thereafter: int) -> None:
        self._initial = initial
        self._thereafter = thereafter
        self._second = -1
        self._seen = 0

    def take(self, now: float) -> bool:
        """Whether to show the batch that arrives at the monotonic time `now`."""
        if int(now) != self._second:
            self._second = int(now)
            self._seen = 0
        self._seen += 1
        beyond = self._seen - self._initial
        return beyond <= 0 or (self._thereafter > 0 and beyond % self._thereafter == 0)


class DebugExporter:
    """Writes text to the log or to standard output. Everything is delivered, shown or not."""

    def __init__(self, settings: Settings, config: DebugConfig, output: TextIO | None = None) -> None:
        self._settings = settings
        self._config = config
        self._output = output
        # One per signal: each signal has a thread of its own.
        self._samplers = {
            signal: Sampler(config.sampling_initial, config.sampling_thereafter) for signal in Signal
        }

    def start(self) -> None:
        """Nothing to start."""

    def shutdown(self) -> None:
        """Nothing to end."""

    def check(self) -> list[CheckStep]:
        """See `Exporter`."""
        where = "the log" if self._config.use_internal_logger else "standard output"
        return [CheckStep("write", True, f"text goes to {where}")]

    def export(self, batch: Batch, /) -> None:
        """See `Exporter`."""
        if not self._samplers[batch.signal].take(self._settings.clock.monotonic()):
            return
        message = batch.merged().parse()
        if self._config.use_internal_logger:
            fields = counts(batch.signal, message)
            if self._config.verbosity == "normal":
                fields["data"] = "\n".join(item_lines(batch.signal, message))
            elif self._config.verbosity == "detailed":
                fields["data"] = everything(batch.signal, message)
            self._settings.log.info("Received.", otel_signal=batch.signal.value, **fields)
            return
        lines = [
            f"{batch.signal.value}: {', '.join(f'{n} {what}' for what, n in counts(batch.signal, message).items())}"
        ]
        if self._config.verbosity == "normal":
            lines += item_lines(batch.signal, message)
        elif self._config.verbosity == "detailed":
            lines.append(everything(batch.signal, message))
        output = self._output or sys.stdout
        output.write("\n".join(lines) + "\n")  # one write: the threads of all signals share the stream
        output.flush()
