"""The process's log."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from collector.config.types import Secret
from collector.service.logging import open_log
from tests.support.fake_clock import FakeClock


@pytest.fixture(autouse=True)
def _library_logging_restored() -> Iterator[None]:
    """`open_log` takes over the standard library's root logger; give it back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_each_event_is_one_line_of_json() -> None:
    """What a log shipper reads."""
    stream = io.StringIO()
    log = open_log(stream, FakeClock()).root
    log.info("Started.", component="otlp", endpoint="127.0.0.1:4317")
    (line,) = lines(stream)
    assert list(line) == ["timestamp", "level", "message", "component", "endpoint"]
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "message": "Started.",
        "component": "otlp",
        "endpoint": "127.0.0.1:4317",
    }


def test_on_a_terminal_lines_are_for_people() -> None:
    """Colours and columns, no JSON."""
    stream = Terminal()
    open_log(stream, FakeClock()).root.info("Started.", component="otlp")
    assert "Started." in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_the_level_holds_back_what_is_below() -> None:
    """`level: warn` means no info."""
    stream = io.StringIO()
    log = open_log(stream, FakeClock(), level="warn").root
    log.info("Chatter.")
    log.warning("Matter.")
    assert [line["message"] for line in lines(stream)] == ["Matter."]


def test_a_secret_is_never_written() -> None:
    """Whatever field a secret gets into, its text does not come out, in either form."""
    for encoding in ("json", "console"):
        stream = io.StringIO()
        log = open_log(stream, FakeClock(), encoding=encoding).root
        log.error("Refused.", password=Secret("hunter2"), nested={"password": [Secret("hunter2")]})
        assert "hunter2" not in stream.getvalue()
        assert "REDACTED" in stream.getvalue()


def test_an_error_carries_its_traceback_in_the_same_line() -> None:
    """A traceback over several lines would be several log records to a shipper."""
    stream = io.StringIO()
    log = open_log(stream, FakeClock()).root
    try:
        raise KeyError("lost")
    except KeyError as caught:
        error = caught
    log.error("A thread died.", exc_info=error)
    (line,) = lines(stream)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("KeyError: 'lost'")


def test_a_repeated_warning_is_held_back_and_counted() -> None:
    """Three lines per half minute of the same message; the next window's first says how many were left out."""
    clock, stream = FakeClock(), io.StringIO()
    log = open_log(stream, clock).root
    for attempt in range(10):
        log.warning("Export failed, retrying.", component="timescaledb", attempt=attempt)
    assert [line["attempt"] for line in lines(stream)] == [0, 1, 2]
    clock.advance(31)
    log.warning("Export failed, retrying.", component="timescaledb", attempt=10)
    assert lines(stream)[-1]["suppressed"] == 7


def test_other_messages_and_components_are_not_held_back() -> None:
    """One component's noise does not silence another."""
    stream = io.StringIO()
    log = open_log(stream, FakeClock()).root
    for component in "abcdef":
        log.error("Export failed.", component=component)
    for number in range(6):
        log.info("Progress.", number=number)
    assert len(lines(stream)) == 12


def test_what_was_held_back_is_told_even_if_it_never_comes_again() -> None:
    """The count must not be lost with the last occurrence."""
    clock, stream = FakeClock(), io.StringIO()
    log = open_log(stream, clock)
    for _ in range(5):
        log.root.warning("Queue is full.", component="sqlite")
    log.flush()
    assert len(lines(stream)) == 3
    clock.advance(31)
    log.flush()
    log.flush()
    assert len(lines(stream)) == 4
    last = lines(stream)[-1]
    assert (last["suppressed"], last["component"], last["repeated"]) == (2, "sqlite", "Queue is full.")


def test_messages_without_end_do_not_fill_memory() -> None:
    """A message that embeds a changing value is a mistake, and must stay a small one."""
    log = open_log(io.StringIO(), FakeClock())
    for number in range(5000):
        log.root.error(f"Failed {number}.")
    assert len(log.repeats._runs) <= 500


def test_libraries_come_out_of_the_same_door() -> None:
    """What asyncio or psycopg say through `logging` is a line of ours, warnings and up."""
    stream = io.StringIO()
    open_log(stream, FakeClock())
    logging.getLogger("psycopg.pool").warning("error connecting")
    logging.getLogger("psycopg.pool").info("a connection")
    (line,) = lines(stream)
    assert (line["component"], line["level"]) == ("psycopg.pool", "warning")


def test_logging_does_not_load_the_command_line_s_libraries() -> None:
    """Structlog loads rich where it is installed; the daemon must not pay for that, nor break others' import."""
    script = (
        "import sys; from collector.service.logging import open_log; from collector.model.clock import *\n"
        "for encoding in ('json', 'console'):\n"
        "    open_log(sys.stderr, SystemClock(), encoding=encoding).root.error('x', exc_info=ValueError('y'))\n"
        "print([name for name in ('rich', 'pygments') if name in sys.modules])\n"
        "import rich"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
