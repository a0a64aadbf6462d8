"""Hostile clients beside honest ones: those are served as before, and the daemon stays within its memory.

Calm and attack by turns, in windows, with the same honest clients all the time: so what the machine does besides is in
both. The attackers are a process of the lowest priority (`hostile`): what they make the daemon do is what counts. A
window's worth is the 99th percentile of how long requests took, that of a kind of windows their median.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.faults.generator import Request
from tests.faults.load import Load
from tests.faults.outcome import Outcome
from tests.faults.play import play
from tests.faults.stage import MIB, Stage, config
from tests.support.daemon import ROOT, Daemon

# How much longer a request may take than without the attack; and what the clock of a machine with two busy cores does
# not tell apart, where other tests run beside this one or not.
_FACTOR = 2.0
_NOISE_S = (0.04, 0.01)
_IN_FLIGHT_MIB = 64
_SERVICE = f"in_flight_size_max: {_IN_FLIGHT_MIB}MiB"
# What bombs inflate to is within the bound on requests in work. Beside it there is the process, and little else.
_RSS_MAX = (_IN_FLIGHT_MIB + 96) * MIB


class Attackers:
    """The process. `attack` for the length of a `with` block; `count` is how many attacks there were."""

    def __init__(self, daemon: Daemon) -> None:
        http = daemon.http.removeprefix("http://")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.hostile", daemon.grpc, http],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.count = 0

    @contextmanager
    def attack(self) -> Iterator[None]:
        """All attacks at once."""
        self._say("begin")
        yield
        self._say("end")
        assert self.process.stdout is not None
        self.count += int(self.process.stdout.readline())

    def _say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def attacks(stage: Stage) -> Outcome:
    """Bombs, slow and idle connections, rapid resets, floods and garbage at both ports: nobody else notices."""
    calm: list[float] = []
    during: list[float] = []
    count = 0

    def disturb(daemon: Daemon, load: Load) -> None:
        nonlocal count
        attackers = Attackers(daemon)
        windows = stage.pick(3, 7)
        seconds = stage.seconds(3.0, 10.0)
        try:
            with attackers.attack():  # what is loaded and grows once, has been before anything is measured
                time.sleep(1.0)
            for _ in range(windows):
                time.sleep(0.5)
                calm.append(_window(load, seconds))
                with attackers.attack():
                    time.sleep(0.3)
                    during.append(_window(load, seconds))
        finally:
            attackers.close()
        count = attackers.count

    destination = stage.sqlite()
    text = config(destination, service=_SERVICE)
    outcome = play(stage, disturb, destination, text=text, refusals=True, rate=1000.0, clients=4)
    if stage.peak_rss > _RSS_MAX:
        outcome = outcome.but(f"RSS {stage.peak_rss // MIB} MiB of {_RSS_MAX // MIB}")
    before, after = statistics.median(calm), statistics.median(during)
    note = f"{count} attacks; p99 {before * 1000:.0f} ms alone, {after * 1000:.0f} ms beside them; {stage.peak_rss // MIB} MiB"
    if not min(during):
        return outcome.but("no request was answered during the attacks", note=note)
    if after > _FACTOR * before + _NOISE_S[stage.long]:
        return outcome.but(f"p99 is {after / before:.1f} times what it is alone", note=note)
    return outcome.but(note=note)


def _window(load: Load, seconds: float) -> float:
    began = time.time()
    time.sleep(seconds)
    ended = time.time()
    time.sleep(0.1)  # those that are under way
    return p99_s([one for one in load.requests if began <= one.at < ended])


def p99_s(requests: list[Request]) -> float:
    """The 99th percentile of how long the answered attempts took."""
    took = sorted(request.took_s for request in requests)
    return took[int(len(took) * 0.99)] if took else 0.0


FAULTS: dict[str, Callable[[Stage], Outcome]] = {
    "attacks": attacks,
}
