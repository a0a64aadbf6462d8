"""`collector queue` as it is typed, on queues of real requests, with a collector beside it and without."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from collector.cli.main import command
from collector.model.clock import SystemClock
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.dead_letters import DeadLetters, Letter
from collector.pipeline.disk_queue import DiskQueue, QueueStorage
from tests.faults.stamp import request

Run = Callable[..., Result]
NAMES = ("sqlite-logs", "sqlite-traces")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `collector queue …` on the queues in `tmp_path`."""

    def typed(*arguments: str) -> Result:
        verb, *rest = arguments
        environment = {"COLLECTOR_CONFIG": None}
        return CliRunner().invoke(
            command, ["queue", verb, "--directory", str(tmp_path), *rest], env=environment
        )

    return typed


def logs(first: int, count: int) -> Telemetry:
    return Telemetry(Signal.LOGS, request(Signal.LOGS, "c", first, count, 1_700_000_000 * 10**9), count)


@contextmanager
def opened(directory: Path, name: str = NAMES[0]) -> Iterator[tuple[DiskQueue, DeadLetters]]:
    storage = QueueStorage(directory=directory)
    queue = DiskQueue(storage, name, 1 << 30, SystemClock())
    letters = DeadLetters(storage, name, 1 << 30, SystemClock())
    queue.open()
    letters.open(queue.last)
    try:
        yield queue, letters
    finally:
        letters.close()
        queue.close()


@pytest.fixture(autouse=True)
def queues(tmp_path: Path) -> None:
    """One with 5 items that wait and 3 dead letters, and one that is empty."""
    with opened(tmp_path) as (queue, letters):
        put(queue, logs(0, 9), logs(10, 2), logs(20, 3))
        queue.release(1)
        letters.add([letter(1, place) for place in (0, 4, 7)])
    with opened(tmp_path, NAMES[1]):
        pass


def put(queue: DiskQueue, *pieces: Telemetry) -> None:
    queue.reserve(sum(piece.size for piece in pieces))
    queue.wait_durable(queue.append_all(pieces))


def letter(sequence: int, first: int) -> Letter:
    return Letter(
        queue_id=UUID(int=1),
        sequence=sequence,
        first=first,
        reason="invalid_data",
        message='new row violates check constraint "nope"',
        data=logs(first, 1),
    )


def test_ls_lists_what_waits_and_what_was_refused(run: Run) -> None:
    shown = run("ls")
    assert shown.exit_code == 0
    assert "sqlite-logs" in shown.stdout
    lines = json.loads(run("ls", "--format", "json").stdout)
    assert [line["queue"] for line in lines] == [*NAMES]
    assert (lines[0]["items"], lines[0]["dead_letters"], lines[0]["state"]) == (5, 3, "free")
    assert lines[0]["oldest"]
    assert (lines[1]["items"], lines[1]["dead_letters"], lines[1]["oldest"]) == (0, 0, None)
    [first, second] = csv.DictReader(io.StringIO(run("ls", "--format", "csv").stdout))
    assert (first["bytes"], second["bytes"]) == (str(lines[0]["bytes"]), "0")


def test_inspect_prints_otlp_with_the_reason(run: Run) -> None:
    lines = [json.loads(line) for line in run("inspect", NAMES[0]).stdout.splitlines()]
    assert [line["letter"] for line in lines] == ["1.0", "1.4", "1.7"]
    line = lines[1]
    assert (line["reason"], line["signal"], line["items"]) == ("invalid_data", "logs", 1)
    assert "nope" in line["message"]
    [record] = line["request"]["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert record["attributes"][1] == {"key": "sequence", "value": {"intValue": "4"}}


def test_inspect_prints_what_waits(run: Run) -> None:
    lines = [json.loads(line) for line in run("inspect", "--all", "--waiting").stdout.splitlines()]
    assert [(line["record"], line["items"]) for line in lines] == [(2, 2), (3, 3)]
    assert len(run("inspect", "--all", "--waiting", "--limit", "1").stdout.splitlines()) == 1


def test_reading_needs_no_lock_and_writing_does(run: Run, tmp_path: Path) -> None:
    """As beside a running collector."""
    with opened(tmp_path) as (queue, _):
        put(queue, logs(30, 1))
        [line, _] = json.loads(run("ls", "--format", "json").stdout)
        assert line["items"] == 6
        assert line["state"].startswith("in use by process ")
        assert len(run("inspect", NAMES[0]).stdout.splitlines()) == 3
        for arguments in (("retry", NAMES[0]), ("drop", NAMES[0], "--yes")):
            refused = run(*arguments)
            assert refused.exit_code == 1
            assert "in use by another process" in refused.stderr
        assert queue.items == 6


def test_retry_puts_letters_back_into_their_queue(run: Run, tmp_path: Path) -> None:
    assert run("retry", NAMES[0], "--letter", "1.4").exit_code == 0
    with opened(tmp_path) as (queue, letters):
        assert [one.name for one in letters] == ["1.0", "1.7"]
        assert (queue.items, queue.last) == (6, 4)
    assert run("retry", "--all").exit_code == 0
    with opened(tmp_path) as (queue, letters):
        assert list(letters) == []
        assert queue.items == 8
    assert run("retry", NAMES[0], "--letter", "1.4").exit_code == 1


def test_drop_deletes_letters_or_what_waits(run: Run, tmp_path: Path) -> None:
    assert run("drop", NAMES[0]).exit_code == 2, "nobody is there to be asked"
    assert run("drop", NAMES[0], "--letter", "1.0", "--yes").exit_code == 0
    with opened(tmp_path) as (queue, letters):
        assert [one.name for one in letters] == ["1.4", "1.7"]
        assert queue.items == 5
    assert run("drop", NAMES[0], "--waiting", "--yes").exit_code == 0
    with opened(tmp_path) as (queue, letters):
        assert len(list(letters)) == 2
        assert (queue.items, queue.released) == (0, 3)
    assert run("drop", "--all", "--yes").exit_code == 0
    with opened(tmp_path) as (_, letters):
        assert list(letters) == []


@pytest.mark.parametrize("verb", ["inspect", "retry"])
def test_a_queue_that_is_not_there_is_named(run: Run, verb: str) -> None:
    for arguments, said in (((verb, "nope"), "'nope'"), ((verb,), "--all")):
        refused = run(*arguments)
        assert refused.exit_code == 2
        assert said in refused.stderr
        assert "sqlite-logs" in refused.stderr


def test_queues_are_found_by_the_configuration(tmp_path: Path) -> None:
    """And a retry keeps to the size that is configured there."""
    config = tmp_path / "collector.yaml"
    config.write_text(
        f"""
receivers: {{otlp: {{protocols: {{http: {{}}}}}}}}
exporters: {{sqlite: {{path: x.db, sending_queue: {{storage: file_storage, queue_size: 1MiB}}}}}}
extensions: {{file_storage: {{directory: "{tmp_path}"}}}}
service:
  extensions: [file_storage]
  pipelines: {{logs: {{receivers: [otlp], exporters: [sqlite]}}}}
"""
    )
    with opened(tmp_path) as (queue, _):
        put(queue, Telemetry(Signal.LOGS, b"x" * (1 << 20), 1))
    runner = CliRunner()
    shown = runner.invoke(command, ["queue", "ls", "--config", str(config), "--format", "json"])
    assert [line["queue"] for line in json.loads(shown.stdout)] == [*NAMES]
    refused = runner.invoke(command, ["queue", "retry", "--config", str(config), NAMES[0]])
    assert refused.exit_code == 1
    assert "full" in refused.stderr
    with opened(tmp_path) as (_, letters):
        assert len(list(letters)) == 3
