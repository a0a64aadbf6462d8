"""Threads that die, and signals."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

from collector.service.supervisor import Stop, Supervisor
from tests.support.recording_log import RecordingLog


def test_a_thread_that_returns_ends_nothing(recorded: RecordingLog) -> None:
    """Returning is how a thread ends when its work is done."""
    supervisor = Supervisor(recorded.log)
    thread = supervisor.spawn("worker", lambda: None)
    thread.join(5)
    assert supervisor.next_event(0.0) is None
    assert supervisor.running() == []


def test_a_thread_that_raises_stops_the_service_as_failed(recorded: RecordingLog) -> None:
    """The error is logged with its traceback, and the main thread gets a reason that names the thread."""

    def body() -> None:
        raise RuntimeError("boom")

    supervisor = Supervisor(recorded.log)
    supervisor.spawn("listener", body).join(5)
    event = supervisor.next_event(5.0)
    assert isinstance(event, Stop)
    assert event.failed
    assert "'listener'" in event.reason
    assert "boom" in event.reason
    assert recorded.messages("error") == ["A thread died."]


def test_even_system_exit_in_a_thread_is_noticed(recorded: RecordingLog) -> None:
    """`threading` swallows SystemExit: a thread ended by it would be gone without a trace."""

    def body() -> None:
        sys.exit(3)

    supervisor = Supervisor(recorded.log)
    supervisor.spawn("listener", body).join(5)
    event = supervisor.next_event(5.0)
    assert isinstance(event, Stop)
    assert event.failed


def test_running_names_the_threads_that_run(recorded: RecordingLog) -> None:
    """What /livez and the closing log line tell about."""
    supervisor = Supervisor(recorded.log)
    finish = threading.Event()
    thread = supervisor.spawn("worker", lambda: _wait(finish))
    assert supervisor.running() == ["worker"]
    finish.set()
    thread.join(5)
    assert supervisor.running() == []


def _wait(event: threading.Event) -> None:
    event.wait()


SIGNALLED = """
import os, signal, sys
from collector.service.supervisor import Supervisor
supervisor = Supervisor(None)
supervisor.catch_signals()
for number in sys.argv[1:]:
    os.kill(os.getpid(), int(number))
    print(supervisor.next_event(5.0), flush=True)
"""


def _signalled(*numbers: int) -> subprocess.CompletedProcess[str]:
    arguments = [str(int(number)) for number in numbers]
    return subprocess.run(
        [sys.executable, "-c", SIGNALLED, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def test_the_first_stop_signal_is_an_event() -> None:
    """SIGTERM and SIGINT ask for an orderly end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        done = _signalled(number)
        assert done.stdout.strip() == f"Stop(reason='{number.name}', failed=False)"
        assert done.returncode == 0


def test_the_second_stop_signal_exits_at_once() -> None:
    """Whoever signals twice does not want to wait; what that costs is said."""
    done = _signalled(signal.SIGTERM, signal.SIGINT, signal.SIGTERM)
    assert done.returncode == 128 + signal.SIGINT
    assert done.stdout.count("\n") == 1
    assert "exiting at once" in done.stderr


def test_hangup_is_an_event_and_stops_nothing() -> None:
    """SIGHUP by default kills; here the main thread decides."""
    done = _signalled(signal.SIGHUP, signal.SIGHUP)
    assert done.stdout.splitlines() == ["Reload(reason='SIGHUP')"] * 2
    assert done.returncode == 0
