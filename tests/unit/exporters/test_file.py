"""The `file` exporter: lines that are whole, a file that rotates, errors that say what to do."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID

import pytest

from collector.exporters.file.config import FileConfig, RotationConfig
from collector.exporters.file.exporter import FileExporter
from collector.exporters.file.factory import FACTORY
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Batch, StartError
from collector.wire.json_decode import decode_json
from tests.support.components import logs, make_house
from tests.support.fake_clock import FakeClock

DAY_S = 86_400.0
NO_ROTATION = RotationConfig(max_megabytes=0)


def batch(*records: Telemetry) -> Batch:
    return Batch(records[0].signal, records, UUID(int=1), 0, len(records))


def started(config: FileConfig, clock: FakeClock | None = None) -> FileExporter:
    exporter = FileExporter(make_house("file", "exporter", clock=clock).settings, config)
    exporter.start()
    return exporter


def test_file_has_one_request_per_line(tmp_path: Path) -> None:
    """Each line is OTLP/JSON that decodes to what came in."""
    path = tmp_path / "out.jsonl"
    exporter = FACTORY.create(make_house("file", "exporter").settings, FileConfig(path=path))
    exporter.start()
    first, second = logs("a", "line\nbreak"), logs("c")
    exporter.export(batch(first, second))
    exporter.shutdown()
    lines = path.read_bytes().splitlines()
    assert [first.parse(), second.parse()] == [decode_json(Signal.LOGS, line)[0] for line in lines]


def test_file_is_appended_to_after_a_restart(tmp_path: Path) -> None:
    """What is there stays, unless `append: false` says otherwise."""
    path = tmp_path / "out.jsonl"
    for _ in range(2):
        exporter = started(FileConfig(path=path))
        exporter.export(batch(logs("a")))
        exporter.shutdown()
    assert len(path.read_bytes().splitlines()) == 2
    started(FileConfig(path=path, append=False)).shutdown()
    assert path.read_bytes() == b""


def test_file_ends_a_line_that_a_crash_has_cut_off(tmp_path: Path) -> None:
    """The next line is whole."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"resourceLogs":[{"sco')
    exporter = started(FileConfig(path=path))
    exporter.export(batch(logs("a")))
    exporter.shutdown()
    torn, whole = path.read_bytes().splitlines()
    assert torn == b'{"resourceLogs":[{"sco'
    assert decode_json(Signal.LOGS, whole)[0] == logs("a").parse()


def test_file_rotates_before_it_exceeds_its_size(tmp_path: Path) -> None:
    """Old files have the time in their name; no line is lost or torn."""
    path = tmp_path / "out.jsonl"
    clock = FakeClock(unix_nano=1_769_860_800_123_000_000)
    exporter = started(FileConfig(path=path, rotation=RotationConfig(max_megabytes=1)), clock)
    for number in range(5):
        exporter.export(batch(logs(f"{number}" + "x" * 400_000)))
    exporter.shutdown()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [
        "out-2026-01-31T12-00-00.123-1.jsonl",
        "out-2026-01-31T12-00-00.123.jsonl",
        "out.jsonl",
    ]
    assert all(file.stat().st_size <= 1024 * 1024 for file in files)
    assert sorted(
        line[line.index(b"stringValue") + 14 : line.index(b"stringValue") + 15]
        for file in files
        for line in file.read_bytes().splitlines()
    ) == [b"0", b"1", b"2", b"3", b"4"]


def test_file_keeps_as_many_old_ones_as_asked(tmp_path: Path) -> None:
    """`max_backups` deletes the oldest; files of other names are left alone."""
    path = tmp_path / "out.jsonl"
    (tmp_path / "out-of-office.jsonl").write_text("not ours")
    clock = FakeClock()
    exporter = started(FileConfig(path=path, rotation=RotationConfig(max_megabytes=1, max_backups=2)), clock)
    for number in range(6):
        exporter.export(batch(logs(f"{number}" + "x" * 700_000)))
        clock.advance(1.0)
    exporter.shutdown()
    backups = sorted(file for file in tmp_path.iterdir() if file.name.startswith("out-2"))
    assert [
        next(mark for mark in (b'"0x', b'"1x', b'"2x', b'"3x', b'"4x') if mark in file.read_bytes())
        for file in backups
    ] == [b'"3x', b'"4x']
    assert (tmp_path / "out-of-office.jsonl").exists()


def test_file_deletes_old_ones_after_max_days(tmp_path: Path) -> None:
    """By the time in their names, when the next file is begun."""
    path = tmp_path / "out.jsonl"
    clock = FakeClock()
    exporter = started(FileConfig(path=path, rotation=RotationConfig(max_megabytes=1, max_days=3)), clock)
    for _ in range(4):
        exporter.export(batch(logs("x" * 700_000)))
        clock.advance(2 * DAY_S)
    exporter.shutdown()
    assert len(list(tmp_path.iterdir())) == 3  # rotated on days 2, 4 and 6; day 2's is older than 3 days


def test_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    """What logrotate does."""
    path = tmp_path / "out.jsonl"
    exporter = started(FileConfig(path=path, rotation=NO_ROTATION))
    exporter.export(batch(logs("a")))
    path.rename(tmp_path / "moved")
    exporter.export(batch(logs("b")))
    exporter.shutdown()
    assert b'"a"' in (tmp_path / "moved").read_bytes()
    assert b'"b"' in path.read_bytes()


def test_file_takes_three_signals_at_once(tmp_path: Path) -> None:
    """Each signal has its thread; lines do not mix."""
    path = tmp_path / "out.jsonl"
    exporter = started(FileConfig(path=path, rotation=NO_ROTATION))

    def write(data: Telemetry) -> None:
        for _ in range(50):
            exporter.export(batch(data, data))

    requests = [Telemetry(signal, b"\n\0", 1) for signal in Signal]  # one empty envelope each
    threads = [threading.Thread(target=write, args=(data,)) for data in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exporter.shutdown()
    lines = path.read_bytes().splitlines()
    assert {line: lines.count(line) for line in set(lines)} == {
        b'{"resourceSpans":[{}]}': 100,
        b'{"resourceMetrics":[{}]}': 100,
        b'{"resourceLogs":[{}]}': 100,
        b'{"records":[{}]}': 100,
    }


def test_file_does_not_start_without_its_directory(tmp_path: Path) -> None:
    """The message says which path, and what has to be so."""
    with pytest.raises(StartError, match=r"nowhere/out\.jsonl.*The directory must exist"):
        started(FileConfig(path=tmp_path / "nowhere" / "out.jsonl"))


def test_file_check_tells_what_is_wrong_and_creates_nothing(tmp_path: Path) -> None:
    """For `validate --connect`."""
    settings = make_house("file", "exporter").settings
    good = FileExporter(settings, FileConfig(path=tmp_path / "out.jsonl")).check()
    bad = FileExporter(settings, FileConfig(path=tmp_path / "nowhere" / "out.jsonl")).check()
    assert [(step.name, step.ok) for step in good] == [("directory", True), ("write", True)]
    assert [(step.name, step.ok) for step in bad] == [("directory", False)]
    assert list(tmp_path.iterdir()) == []


def test_file_path_must_not_be_a_directory(tmp_path: Path) -> None:
    """Found when the configuration is read."""
    assert [finding.key for finding in FileConfig(path=tmp_path).validate()] == ["path"]


# Runs in a process of its own: a limit on file sizes stands for the full disk, and holds for the whole process.
_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tests.unit.exporters.test_file import NO_ROTATION, batch, logs, started
from collector.exporters.file.config import FileConfig
from collector.model.errors import RetryableError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then write(2) fails with EFBIG after writing what fits
path = Path(sys.argv[1])
exporter = started(FileConfig(path=path, rotation=NO_ROTATION))
exporter.export(batch(logs("first")))
before = path.read_bytes()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, hard))
try:
    exporter.export(batch(logs("second" * 100)))
except RetryableError as error:
    print(error.reason)
assert path.read_bytes() == before
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
exporter.export(batch(logs("second")))
assert path.read_bytes().startswith(before)
print(len(path.read_bytes().splitlines()))
"""


def test_file_takes_back_what_a_full_disk_cut_off(tmp_path: Path) -> None:
    """The batch is retried: half of it must not stand there already."""
    run = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path / "out.jsonl")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        timeout=60,
        check=False,
    )
    assert (run.stdout.split(), run.stderr) == (["io", "2"], "")
