"""The life of the process, inside one."""

from __future__ import annotations

import io
import json
import logging
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from collector.model.clock import Clock, SystemClock
from collector.service.banner import Banner
from collector.service.lifecycle import Service
from collector.service.logging import open_log
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.plan import CHAIN, Plan, configured


@pytest.fixture(autouse=True)
def _process_restored() -> Iterator[None]:
    """A service takes over signals and the standard library's log; give them back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    root.handlers[:], root.level = handlers, level
    for number, handler in signals.items():
        signal.signal(number, handler)


class Life:
    """A service, and what it logged."""

    def __init__(self, text: str = CHAIN, *, clock: Clock | None = None) -> None:
        self.plan = Plan()
        self.stream = io.StringIO()
        clock = clock or SystemClock()
        self.service = Service(configured(self.plan, text), open_log(self.stream, clock), clock)

    def run(self, meanwhile: Callable[[Banner], None] = lambda banner: None) -> int:
        """Run it; `meanwhile` is called when it is up."""
        return self.service.run(meanwhile)

    def log(self) -> list[dict[str, Any]]:
        """The log lines."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def test_a_signal_ends_it_in_order_with_exit_code_0() -> None:
    """Receivers first, exporters last."""
    life = Life()
    assert life.run(lambda banner: signal.raise_signal(signal.SIGTERM)) == 0
    assert life.plan.calls[-4:] == ["stop in", "stop mid/1", "stop mid/2", "stop out"]
    assert life.log()[-1]["message"] == "Stopped."


def test_a_thread_that_dies_ends_it_in_order_with_exit_code_1() -> None:
    """Better no collector than half of one: an orchestrator starts it again."""
    life = Life(CHAIN.replace("in: {}", "in: {dies: true}"))
    assert life.run() == 1
    assert life.plan.calls[-4:] == ["stop in", "stop mid/1", "stop mid/2", "stop out"]
    messages = [line["message"] for line in life.log()]
    assert "A thread died." in messages
    assert "it was too much" in life.log()[-1]["reason"]


def test_a_part_that_cannot_start_ends_it_with_exit_code_1_and_its_reason() -> None:
    """For people: one line, no traceback."""
    life = Life(CHAIN.replace("in: {}", "in: {fails: true}"))
    announced: list[Banner] = []
    assert life.run(announced.append) == 1
    assert not announced
    (line,) = [line for line in life.log() if line["message"] == "Cannot start."]
    assert line["why"] == "it cannot"
    assert life.plan.calls[-1] == "stop out"


def test_a_stop_in_time_leaves_nobody_behind_to_end_the_process() -> None:
    """The watch over a stop that hangs must end with the stop, whoever the process belongs to."""
    assert Life().run(lambda banner: signal.raise_signal(signal.SIGTERM)) == 0
    eventually(
        lambda: all(thread.name != "deadline" for thread in threading.enumerate()),
        what="the end of the watch",
    )


def test_the_admin_server_answers_while_it_runs() -> None:
    """On the port it says, until the end."""
    life = Life()
    seen: dict[str, int] = {}

    def ask(banner: Banner) -> None:
        for path in ("/livez", "/readyz", "/healthz", "/metrics", "/database/info"):
            with urllib.request.urlopen(f"http://{banner.admin}{path}", timeout=10) as response:
                seen[path] = response.status
        signal.raise_signal(signal.SIGTERM)

    assert life.run(ask) == 0
    assert set(seen.values()) == {200}


def test_metrics_can_be_switched_off() -> None:
    """`service::telemetry::metrics::level: none`."""
    life = Life(CHAIN.replace("service:", "service:\n  telemetry: {metrics: {level: none}}"))

    def ask(banner: Banner) -> None:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{banner.admin}/metrics", timeout=10)
        signal.raise_signal(signal.SIGTERM)

    assert life.run(ask) == 0


def test_it_is_not_alive_when_the_main_thread_hangs() -> None:
    """/livez is what gets a stuck process restarted."""
    clock = FakeClock()
    life = Life(clock=clock)
    life.service._running.ready = True
    clock.advance(29)
    assert life.service._answers.livez().status == 200
    clock.advance(2)
    assert life.service._answers.livez().status == 503


def test_it_is_not_ready_before_it_listens() -> None:
    """And alive all the same: a start that takes its time is no reason to be killed."""
    life = Life()
    assert life.service._answers.readyz().status == 503
    assert life.service._answers.livez().status == 200


HANGING = """
import sys, threading
from collector.model.clock import SystemClock
from collector.service.logging import open_log
from collector.service.supervisor import Supervisor
clock = SystemClock()
supervisor = Supervisor(open_log(sys.stderr, clock).root)
supervisor.spawn("stuck", threading.Event().wait)
supervisor.exit_at(clock.monotonic() + 0.2, clock)
threading.Event().wait(60)
"""


def test_a_stop_that_hangs_is_ended() -> None:
    """After `shutdown_timeout` and a little: with exit code 1, and where the threads were that still ran."""
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    said = json.loads(done.stderr)
    assert said["threads"] == ["stuck"]
    assert said["at"]["stuck"][-1].endswith(" wait")
