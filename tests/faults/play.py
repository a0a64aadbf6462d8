"""The plot that most faults share: a daemon under steady load, something happens, all is well in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from collector.model.signal import OPENTELEMETRY
from tests.faults.load import Load
from tests.faults.outcome import Outcome
from tests.faults.stage import Stage, caught_up, closed, config
from tests.support.daemon import Daemon
from tests.support.destination import Destination
from tests.support.eventually import eventually

# What a client is told that shall send the same later.
COME_AGAIN = {"503", "UNAVAILABLE"}

Disturbance = Callable[[Daemon, Load], None]


def play(
    stage: Stage,
    disturb: Disturbance,
    *destinations: Destination,
    text: str = "",
    refusals: bool = False,
    catch_up_s: float = 60.0,
    rate: float = 500.0,
    **load_options: Any,
) -> Outcome:
    """Run a daemon and its clients, `disturb` them, let the clients finish and the daemon catch up; judge.

    `refusals`: clients may be told to come again. Anything else that is not OK is a problem.
    """
    with (
        stage.daemon(text or config(*destinations)) as daemon,
        stage.load(daemon, rate=rate, **load_options) as load,
    ):
        load.wait_for(100)
        wait_until_stored(daemon)
        disturb(daemon, load)
        load.wait_for(100)
        requests = load.finish()
        caught_up(daemon, within_s=catch_up_s)
        problems = closed(daemon, requests)
        refused = {code for request in requests for code in request.codes}
        if wrong := refused - (COME_AGAIN if refusals else set()):
            problems.append(f"clients met {', '.join(sorted(wrong))}")
        if code := daemon.stop():
            problems.append(f"exit code {code}")
    return stage.verdict(requests, *destinations).but(*problems)


def wait_until_stored(daemon: Daemon) -> None:
    """Wait until something of each signal has been stored: the tables are there and warm."""
    eventually(
        lambda: all(daemon.metric(f"otelcol_exporter_sent_{signal.item}") for signal in OPENTELEMETRY),
        what="something of each signal stored",
    )


def wait_for_retry(daemon: Daemon, *reasons: str, within_s: float = 30.0) -> None:
    """Wait until an attempt has failed for one of `reasons`, by the daemon's own words."""

    def found() -> bool:
        return any(daemon.metric("collector_exporter_retries", reason=reason) for reason in reasons)

    def seen() -> str:
        lines = daemon.get("/metrics")[1].splitlines()
        return "; ".join(line for line in lines if line.startswith("collector_exporter_retries{"))

    try:
        eventually(found, within_s=within_s, what=f"a retry for {' or '.join(reasons)}")
    except AssertionError as error:
        raise AssertionError(f"{error}; retries: {seen()}") from None
