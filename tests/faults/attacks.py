"""Hostile clients beside honest ones: those are served as before, and the daemon stays within its memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from tests.faults import hostile
from tests.faults.generator import Request
from tests.faults.load import Load
from tests.faults.outcome import Outcome
from tests.faults.play import play
from tests.faults.stage import Stage, config
from tests.support.daemon import Daemon

# How much longer a request may take than without the attack, at the 99th percentile; and what no clock of a machine
# with two busy cores can tell apart.
_FACTOR = 2.0
_NOISE_S = 0.02
_SERVICE = "in_flight_size_max: 64MiB"


@contextmanager
def attacked(daemon: Daemon) -> Iterator[list[Future[int]]]:
    """All attacks at once, for the length of a `with` block."""
    stop = threading.Event()
    http = daemon.http.removeprefix("http://")
    attacks = [(attack, daemon.grpc) for attack in hostile.GRPC] + [(attack, http) for attack in hostile.HTTP]
    with ThreadPoolExecutor(len(attacks)) as pool:
        running = [pool.submit(attack, endpoint, stop) for attack, endpoint in attacks]
        try:
            yield running
        finally:
            stop.set()


def attacks(stage: Stage) -> Outcome:
    """Bombs, slow and idle connections, rapid resets, floods and garbage at both ports: nobody else notices."""
    calm: list[Request] = []
    during: list[Request] = []
    count = 0

    def disturb(daemon: Daemon, load: Load) -> None:
        nonlocal count
        seconds = stage.seconds(4.0, 60.0)
        began = time.time()
        time.sleep(seconds)
        attack_began = time.time()
        with attacked(daemon) as running:
            time.sleep(seconds)
            ended = time.time()
        count = sum(future.result() for future in running)
        requests = list(load.requests)
        calm.extend(one for one in requests if began <= one.at < attack_began)
        during.extend(one for one in requests if attack_began <= one.at < ended)

    destination = stage.sqlite()
    text = config(destination, service=_SERVICE)
    outcome = play(stage, disturb, destination, text=text, refusals=True, rate=1000.0, clients=4)
    before, after = p99_s(calm), p99_s(during)
    note = f"{count} attacks; p99 {before * 1000:.0f} ms alone, {after * 1000:.0f} ms beside them"
    if not during:
        return outcome.but("no request was answered during the attacks", note=note)
    # In `make test` other tests run beside it: that all were served, and nothing lost, is what can be told there.
    if stage.long and after > _FACTOR * before + _NOISE_S:
        return outcome.but(f"p99 is {after / before:.1f} times what it is alone", note=note)
    return outcome.but(note=note)


def p99_s(requests: list[Request]) -> float:
    """The 99th percentile of how long the answered attempts took."""
    took = sorted(request.took_s for request in requests)
    return took[int(len(took) * 0.99)] if took else 0.0


FAULTS: dict[str, Callable[[Stage], Outcome]] = {
    "attacks": attacks,
}
