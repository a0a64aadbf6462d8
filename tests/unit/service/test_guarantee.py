"""Where queues are, when pipelines answer, and what cannot be promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.components import FACTORIES
from collector.config.diagnostics import ConfigError
from collector.config.load import load
from collector.config.sources import Surroundings
from collector.model.identity import ComponentID
from collector.service.config import Config, load_config
from collector.service.guarantee import pipeline_acks, storage_of

TEMPLATE = """
receivers: {otlp: {protocols: {grpc: }}}
exporters: {sqlite: {path: x.db, sending_queue: %s}, debug: }
extensions: {file_storage: {directory: /var/lib/q}, file_storage/two: {directory: /var/lib/two, fsync: false}}
service:
  extensions: [file_storage]
  pipelines: {logs: {receivers: [otlp], exporters: [%s]%s}}
"""


def config(tmp_path: Path, queue: str, *, exporters: str = "sqlite", ack: str = "") -> Config:
    path = tmp_path / "c.yaml"
    path.write_text(TEMPLATE % (queue, exporters, f", ack: {ack}" if ack else ""))
    return load_config(load([str(path)], [], Surroundings({})), FACTORIES)


def complaint(tmp_path: Path, queue: str, *, ack: str = "") -> str:
    with pytest.raises(ConfigError) as error:
        config(tmp_path, queue, ack=ack)
    return " ".join(f"{problem.message} {problem.label}" for problem in error.value.problems)


def test_a_queue_is_on_disk_where_its_exporter_says_so(tmp_path: Path) -> None:
    """And its pipeline then answers when the disk has it."""
    found = config(tmp_path, "{storage: file_storage}")
    storage = storage_of(found, ComponentID("sqlite"))
    assert [problem.message for problem in found.warnings if "keeps its queue" in problem.message] == []
    assert storage is not None
    assert (storage.directory, storage.fsync) == (Path("/var/lib/q"), True)
    assert pipeline_acks(found) == {"logs": "disk"}


def test_a_queue_is_in_memory_otherwise(tmp_path: Path) -> None:
    """An extension alone changes nothing, and that is said: who wrote it believes otherwise."""
    found = config(tmp_path, "{}")
    said = [problem.message for problem in found.warnings]
    assert "no exporter keeps its queue in extension 'file_storage'" in said
    assert storage_of(found, ComponentID("sqlite")) is None
    assert pipeline_acks(found) == {"logs": "memory"}


def test_a_pipeline_promises_what_its_weakest_queue_does(tmp_path: Path) -> None:
    """One exporter on disk, one in memory."""
    found = config(tmp_path, "{storage: file_storage}", exporters="sqlite, debug")
    assert pipeline_acks(found) == {"logs": "memory"}


def test_a_pipeline_may_promise_more_or_less(tmp_path: Path) -> None:
    """`stored` needs no disk, and who has one may not want to wait for it."""
    assert pipeline_acks(config(tmp_path, "{}", ack="stored")) == {"logs": "stored"}
    assert pipeline_acks(config(tmp_path, "{storage: file_storage}", ack="memory")) == {"logs": "memory"}


@pytest.mark.parametrize(
    ("queue", "ack", "expected"),
    [
        ("{storage: redis}", "", "'redis' is no storage extension that is defined it can be: file_storage"),
        ("{storage: file_storage/two}", "", "'file_storage/two' is not started add it: service:"),
        (
            "{}",
            "disk",
            "the queue of exporter 'sqlite' is in memory set exporters.sqlite.sending_queue.storage",
        ),
        ("{overflow: drop_oldest}", "stored", "exporter 'sqlite' drops what it cannot keep"),
    ],
)
def test_what_cannot_be_promised_is_an_error(tmp_path: Path, queue: str, ack: str, expected: str) -> None:
    """Each with what to do."""
    assert expected in complaint(tmp_path, queue, ack=ack)


LEDGER = """
receivers: {cost_ledger: {exporter: %s}, otlp: {protocols: {grpc: }}}
exporters: {sqlite: {path: x.db}, memory: , debug: {sending_queue: %s}}
extensions: {file_storage: {directory: /var/lib/q}}
service:
  extensions: [file_storage]
  pipelines: {costs: {receivers: [otlp, cost_ledger], exporters: [debug]%s}}
"""


def ledger_problems(tmp_path: Path, exporter: str, queue: str, more: str = "") -> list[str]:
    path = tmp_path / "c.yaml"
    path.write_text(LEDGER % (exporter, queue, more))
    try:
        load_config(load([str(path)], [], Surroundings({})), FACTORIES)
    except ConfigError as error:
        return [
            f"{problem.message}: {problem.label}" for problem in error.problems if problem.severity == "error"
        ]
    return []


def test_what_is_passed_on_once_must_not_be_in_memory_only(tmp_path: Path) -> None:
    """The receiver goes on when the pipeline has answered: then a crash must not lose it."""
    [problem] = ledger_problems(tmp_path, "sqlite", "{}")
    assert "receiver 'cost_ledger' must not pass costs on to a queue in memory" in problem
    assert "add 'ack: stored', or exporters.debug.sending_queue.storage" in problem
    assert ledger_problems(tmp_path, "sqlite", "{}", ", ack: stored") == []
    assert ledger_problems(tmp_path, "sqlite", "{storage: file_storage}") == []
    assert len(ledger_problems(tmp_path, "sqlite", "{storage: file_storage}", ", ack: memory")) == 1


@pytest.mark.parametrize("exporter", ["memory", "nobody", "debug"])
def test_a_ledger_is_in_a_database_that_lasts(tmp_path: Path, exporter: str) -> None:
    """Named, with those that there are."""
    [problem] = ledger_problems(tmp_path, exporter, "{}", ", ack: stored")
    assert problem == (
        f"receiver 'cost_ledger': '{exporter}' is no exporter to a database that lasts: there is sqlite"
    )


def test_an_exporter_whose_database_is_read_is_used(tmp_path: Path) -> None:
    """Also where no pipeline leads to it; one that nobody names is not."""
    path = tmp_path / "c.yaml"
    path.write_text(LEDGER % ("sqlite", "{}", ", ack: stored"))
    said = [
        problem.message
        for problem in load_config(load([str(path)], [], Surroundings({})), FACTORIES).warnings
    ]
    assert "exporter 'memory' is not used" in said
    assert "exporter 'sqlite' is not used" not in said
