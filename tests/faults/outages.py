"""The database goes away and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.outcome import Outcome
from tests.faults.stage import Stage, caught_up, closed, config, server


def outage(stage: Stage) -> Outcome:
    """Stopped for a while under steady load, and started again: nobody is refused, and all is stored."""
    local = server().local
    assert local is not None
    seconds, rate = stage.seconds(6, 60), stage.rate(1000, 1000)
    with stage.postgresql(timescaledb=True) as database, stage.daemon(config(database)) as daemon:
        with stage.load(daemon, rate=rate, items=10) as load:
            load.wait_for(500)
            local.stop()
            try:
                time.sleep(seconds)
                load.wait_for(1)
            finally:
                local.start()
            load.wait_for(500)
            requests = load.finish()
        caught_up(daemon, within_s=60 + seconds)
        problems = closed(daemon, requests)
        code = daemon.stop()
        outcome = stage.verdict(requests, database)
    if code:
        problems.append(f"exit code {code}")
    refused = sum(1 for request in requests if request.codes)
    if refused:
        problems.append(f"{refused} requests were refused")
    sent = sum(request.count for request in requests)
    return outcome.but(*problems, note=f"sent {sent:,}; away {seconds:.0f} s at {rate:.0f} items/s")


FAULTS: dict[str, Callable[[Stage], Outcome]] = {"outage": outage}
