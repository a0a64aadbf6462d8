"""What is SQLite's own: files, locks, indexes, memory's bound."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.storage.encode import encode
from collector.storage.sqlite.store import SqliteStore, path_of
from collector.storage.store import SchemaError
from collector.storage.tables import SPANS
from tests.support import samples
from tests.support.fake_clock import FakeClock
from tests.support.stores import put


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "telemetry.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, busy_timeout_s=0.05)) as store:
        store.migrate()
        yield store


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///x.db", Path("x.db")),
        ("sqlite:///folder/with%20space.db", Path("folder/with space.db")),
        ("sqlite:////var/lib/x.db", Path("/var/lib/x.db")),
    ],
)
def test_urls_name_files(url: str, path: Path | None) -> None:
    """Three slashes: relative; four: absolute; nothing behind them: memory."""
    assert path_of(url) == path


def test_migrate_makes_folder_and_file(tmp_path: Path) -> None:
    """Opening does not: a misspelt path in a query must not leave a file behind."""
    path = tmp_path / "a" / "b" / "x.db"
    with closing(SqliteStore(path)) as store:
        store.open()
        assert store.schema_status().current == 0
        with pytest.raises(SchemaError, match="collector database init"):
            store.query("SELECT 1")
        assert not path.parent.exists()
        store.migrate()
        assert path.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Here, a file is in its place."""
    (tmp_path / "file").touch()
    with pytest.raises(PermanentError, match=r"cannot make the folder .*file"):
        SqliteStore(tmp_path / "file" / "x.db").migrate()


@pytest.mark.parametrize(("held_s", "busy_timeout_s", "made"), [(0.05, 5.0, True), (0.5, 0.05, False)])
def test_who_makes_a_file_waits_for_others_that_make_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, held_s: float, busy_timeout_s: float, made: bool
) -> None:
    """As long as for any other lock. SQLite itself does not wait where who reads wants to write."""
    connect = sqlite3.connect
    with closing(connect(path, isolation_level=None, check_same_thread=False)) as other:
        held = threading.Timer(held_s, other.execute, ["ROLLBACK"])

        class Overtaken(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                if "journal_mode" in sql and held.ident is None:
                    other.execute("BEGIN IMMEDIATE")
                    held.start()
                return super().execute(sql, *args)

        monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=Overtaken))
        with closing(SqliteStore(path, busy_timeout_s=busy_timeout_s)) as store:
            if made:
                assert store.migrate()
            else:
                with pytest.raises(RetryableError, match="database is locked"):
                    store.migrate()
        held.join()


def test_a_file_that_is_no_database_is_retried(path: Path) -> None:
    """Nothing is wrong with the telemetry: it waits until somebody has looked."""
    path.write_bytes(b"this is not a database, it only lies where one should be" * 100)
    with closing(SqliteStore(path)) as store, pytest.raises(RetryableError) as raised:
        put(store, Signal.LOGS, samples.logs())
    assert raised.value.reason == "corrupt"


def test_writing_while_another_process_writes_is_retried(store: SqliteStore, path: Path) -> None:
    """And works once it has ended."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RetryableError) as raised:
            put(store, Signal.LOGS, samples.logs())
        assert raised.value.reason == "locked"
        other.execute("ROLLBACK")
    put(store, Signal.LOGS, samples.logs())


def test_a_file_that_was_replaced_is_noticed(store: SqliteStore, path: Path) -> None:
    """Writing on into the old one would lose everything; its dimensions have to be written anew as well."""
    put(store, Signal.TRACES, samples.traces())
    for suffix in ("", "-wal", "-shm"):
        (path.parent / (path.name + suffix)).unlink(missing_ok=True)
    with pytest.raises(SchemaError):
        put(store, Signal.TRACES, samples.traces())
    store.migrate()
    put(store, Signal.TRACES, samples.traces())
    assert len(store.query("SELECT * FROM spans WHERE resource IS NOT NULL").rows) == 3


def test_an_older_copy_put_back_in_place_gets_its_dimensions(store: SqliteStore, path: Path) -> None:
    """A restored file does not hold what the writer remembers to have written."""
    with (
        closing(sqlite3.connect(path)) as source,
        closing(sqlite3.connect(path.with_suffix(".old"))) as backup,
    ):
        source.backup(backup)
    put(store, Signal.TRACES, samples.traces())
    store.query("SELECT 1")
    for suffix in ("-wal", "-shm"):
        (path.parent / (path.name + suffix)).unlink(missing_ok=True)
    path.with_suffix(".old").replace(path)
    put(store, Signal.TRACES, samples.traces())
    assert len(store.query("SELECT * FROM spans WHERE resource IS NOT NULL").rows) == 3


def test_readers_see_whole_batches_while_a_writer_is_in_a_transaction(store: SqliteStore, path: Path) -> None:
    """WAL: reading neither waits for writing nor stops it."""
    put(store, Signal.TRACES, samples.traces())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM otlp_spans")
        assert len(store.read(Signal.TRACES).facts[SPANS]) == 3
        other.execute("ROLLBACK")


def test_a_commit_is_synced(store: SqliteStore) -> None:
    """What the position says is stored survives a power cut: synchronous=FULL (2) on the writing connection."""
    with store._connections.writing("look") as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


_WRITE_FOR_EVER = """
import sys, uuid
from pathlib import Path
from collector.model.signal import Signal
from collector.storage.encode import encode
from collector.storage.sqlite.store import SqliteStore
from tests.support import samples

store = SqliteStore(Path(sys.argv[1]))
encoded = encode(Signal.TRACES, [samples.traces()])
position = store.position(uuid.UUID(int=1)) or 0
while True:
    store.write(encoded, queue_id=uuid.UUID(int=1), start=position, end=position + 1)
    position += 1
    print(position, flush=True)
"""


def test_a_killed_writer_loses_nothing_and_repeats_nothing(store: SqliteStore, path: Path) -> None:
    """After SIGKILL at any moment, rows and position agree, and hold what was reported as written."""
    reported = 0
    for lines in (3, 7, 1):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITE_FOR_EVER, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        ) as process:
            assert process.stdout is not None
            for _ in range(lines):
                reported = int(process.stdout.readline())
            process.kill()
        position = store.position(UUID(int=1))
        assert position is not None
        assert position >= reported
        assert len(store.read(Signal.TRACES).facts[SPANS]) == 3 * position


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("SELECT * FROM metrics WHERE metric = 'x' AND time_unix_nano >= 5", "otlp_number_points_metric"),
        (
            "SELECT * FROM histograms WHERE metric = 'x' AND time_unix_nano >= 5",
            "otlp_histogram_points_metric",
        ),
        ("SELECT * FROM spans WHERE trace_id = 'ab'", "otlp_spans_trace"),
        ("SELECT * FROM traces WHERE trace_id = 'ab'", "otlp_spans_trace"),
        ("SELECT * FROM logs WHERE trace_id = 'ab'", "otlp_logs_trace"),
        ("SELECT * FROM spans WHERE service_name = 'x' AND time_unix_nano >= 5", "otlp_spans_service"),
        ("SELECT * FROM spans ORDER BY time_unix_nano DESC LIMIT 9", "otlp_spans_time"),
        ("SELECT * FROM logs WHERE time_unix_nano >= 5", "otlp_logs_time"),
    ],
)
def test_filters_on_views_use_the_indexes(store: SqliteStore, sql: str, index: str) -> None:
    """The expressions in views and indexes are the same, letter by letter, or SQLite would not see it."""
    with store._connections.reading("look") as connection:
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}"))
    assert f"USING INDEX {index}" in plan


def test_retention_gives_disk_space_back(store: SqliteStore, path: Path) -> None:
    """The file shrinks; SQLite alone would keep the pages."""
    request = samples.traces()
    spans = request.resource_spans[0].scope_spans[0].spans
    for _ in range(1500):
        spans.append(spans[0])
    put(store, Signal.TRACES, request)
    with store._connections.writing("look") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before = path.stat().st_size
    store.apply_retention({Signal.TRACES: 1.0}, now_unix_nano=samples.NOW_UNIX_NANO + 10**18)
    with store._connections.writing("look") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert path.stat().st_size < before / 4


def test_retention_forgets_queues_that_were_abandoned(path: Path) -> None:
    """A year after their last batch, and not before."""
    clock = FakeClock()
    with closing(SqliteStore(path, clock=clock)) as store:
        store.migrate()
        queue_id = uuid4()
        store.write(encode(Signal.LOGS, [samples.logs()]), queue_id=queue_id, start=0, end=9)
        clock.advance(364 * 86_400)
        store.apply_retention({}, now_unix_nano=clock.unix_nano())
        assert store.position(queue_id) == 9
        clock.advance(2 * 86_400)
        store.apply_retention({}, now_unix_nano=clock.unix_nano())
        assert store.position(queue_id) is None


def _logs_at(*seconds: int) -> Any:
    request = samples.logs()
    del request.resource_logs[1:]
    records = request.resource_logs[0].scope_logs[0].log_records
    del records[:]
    for second in seconds:
        records.add(
            time_unix_nano=samples.NOW_UNIX_NANO + second * samples.SECOND,
            observed_time_unix_nano=samples.NOW_UNIX_NANO,
        )
    return request


def test_memory_keeps_the_newest_items_and_counts_the_rest() -> None:
    """Across signals, by the time of the item; of equally old ones, as many as are too many."""
    with closing(SqliteStore(None, items_max=5)) as store:
        store.migrate()
        put(store, Signal.LOGS, _logs_at(0, 1, 1, 1, 9))
        assert store.take_evicted() == {}
        request = samples.traces()
        for span in request.resource_spans[0].scope_spans[0].spans:
            span.start_time_unix_nano += 5 * samples.SECOND
        del request.resource_spans[1:]
        put(store, Signal.TRACES, request)
        assert store.take_evicted() == {Signal.LOGS: 2}
        assert store.take_evicted() == {}
        times = [t - samples.NOW_UNIX_NANO for (t,) in store.query("SELECT time_unix_nano FROM logs").rows]
        assert sorted(times) == [1 * samples.SECOND, 1 * samples.SECOND, 9 * samples.SECOND]
        assert len(store.query("SELECT 1 FROM spans").rows) == 2


def test_memory_is_bounded_in_dimensions_too() -> None:
    """A new resource with every batch does not fill it up, and what is left can be read whole."""
    with closing(SqliteStore(None, items_max=3)) as store:
        store.migrate()
        for number in range(30):
            put(store, Signal.METRICS, samples.metrics(f"service {number}"))
        for table in ("otlp_resources", "otlp_series", "otlp_scopes"):
            [[count]] = store.query(f"SELECT count(*) FROM {table}").rows
            assert count <= 6
        assert store.read(Signal.METRICS).items == 3
        assert store.query("SELECT count(*) FROM metrics WHERE resource IS NULL OR type IS NULL").rows == [
            (0,)
        ]


def test_memory_can_be_used_from_many_threads() -> None:
    """There is one connection, and each in turn has it."""
    with closing(SqliteStore(None)) as store:
        store.migrate()
        threads = [
            threading.Thread(target=lambda: put(store, Signal.TRACES, samples.traces())) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.read(Signal.TRACES).facts[SPANS]) == 24
