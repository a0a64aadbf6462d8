"""The exporters `sqlite` and `memory`: from their YAML to stored items."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from collector.exporters.memory.config import MemoryConfig
from collector.exporters.memory.factory import FACTORY as MEMORY
from collector.exporters.sqlite.config import SqliteConfig
from collector.exporters.sqlite.factory import FACTORY as SQLITE
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Batch, Exporter, TransactionalExporter
from collector.storage.exporter import StoreExporter
from collector.storage.store import open_store
from tests.support import samples
from tests.support.components import make_house
from tests.support.stores import read_back
from tests.unit.config.reading import decoded, good


def _logs() -> Batch:
    record = Telemetry(Signal.LOGS, samples.logs().SerializeToString(), 8)
    return Batch(Signal.LOGS, (record,), UUID(int=1), 0, 1)


@pytest.mark.parametrize(
    "spelling", ["path: {path}", "connection_string: sqlite:///{path}", "connection: '{path}'"]
)
def test_sqlite_stores_in_the_file_that_the_config_names(tmp_path: Path, spelling: str) -> None:
    """As a path or a URL, in a folder that is not there yet."""
    path = tmp_path / "some folder" / "100%.db"
    written = str(path).replace("%", "%25") if "sqlite:" in spelling else str(path)
    config = good(spelling.format(path=written), SqliteConfig)
    house = make_house("sqlite", "exporter")
    exporter: StoreExporter = SQLITE.create(house.settings, config)  # type: ignore[assignment]
    exporter.start()
    exporter.export(_logs())
    exporter.shutdown()
    store = open_store(f"sqlite:///{str(path).replace('%', '%25')}")
    assert len(read_back(store, Signal.LOGS).resource_logs) == 2
    store.close()


@pytest.mark.parametrize("path", ["'sqlite://'", "'sqlite:///:memory:'", "':memory:'", "''"])
def test_sqlite_refuses_memory(path: str) -> None:
    """It would be gone at the end, against what everybody expects; there is another exporter for it."""
    _, problems = decoded(f"path: {path}", SqliteConfig)
    assert [problem for problem in problems if "names no file" in problem.message]


def test_sqlite_needs_a_path() -> None:
    """There is no default place that suits everybody."""
    _, problems = decoded("migrate: true", SqliteConfig)
    assert len(problems) == 1


def test_memory_keeps_as_many_items_as_it_is_told() -> None:
    """Under the key of the system it replaces, too."""
    config = good("max_memory_entries: 3", MemoryConfig)
    house = make_house("memory", "exporter")
    exporter: StoreExporter = MEMORY.create(house.settings, config)  # type: ignore[assignment]
    exporter.start()
    exporter.export(_logs())
    assert exporter.store.read(Signal.LOGS).items == 3
    labels = {"exporter": "memory", "otel_signal": "logs", "reason": "bound"}
    assert house.sample("collector_store_deleted_items_total", **labels) == 5
    exporter.shutdown()


def test_both_are_transactional_exporters(tmp_path: Path) -> None:
    """So that the sender continues from what they hold."""
    settings = make_house("x", "exporter").settings
    for exporter in (
        SQLITE.create(settings, SqliteConfig(path=str(tmp_path / "x.db"))),
        MEMORY.create(settings, MemoryConfig()),
    ):
        checked: Exporter = exporter
        assert isinstance(checked, TransactionalExporter)
