"""In which databases costs are, and which of them a request means."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.components import FACTORIES
from collector.config.load import load
from collector.config.sources import Surroundings
from collector.service.build import build
from collector.service.config import load_config
from collector.service.cost_stores import CostStore, StoreChoiceError, choose_store, cost_stores
from collector.service.graph import Graph, House
from collector.storage.sqlite.store import SqliteStore
from tests.support.daemon import ROOT

CONFIG = """
receivers: {otlp: {protocols: {grpc: }}, cost_ledger: {exporter: sqlite/c}}
exporters:
  sqlite/a: {path: a.db, retention: {analyses: 7d}}
  sqlite/b: {path: b.db}
  sqlite/c: {path: c.db}
  sqlite/d: {path: d.db}
  memory:
  debug:
extensions: {cost_attribution: {exporter: sqlite/b}}
%s
service:
  extensions: [cost_attribution]
  pipelines:
    logs: {receivers: [otlp], exporters: [sqlite/b, sqlite/c, sqlite/d, memory]}
    costs: {receivers: [otlp], exporters: [sqlite/a, memory, debug]}
    costs/made: {receivers: [cost_ledger], exporters: [debug], ack: stored}
"""


@pytest.fixture
def graph(tmp_path: Path, house: House) -> Graph:
    example = (ROOT / "config/examples/cost.yaml").read_text()
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG % example[example.index("cost:\n") : example.index("service:\n")])
    return build(load_config(load([str(path)], [], Surroundings({})), FACTORIES), house)


def test_costs_are_where_they_are_sent_made_or_read(graph: Graph) -> None:
    """Of databases that last; each with how long it keeps analyses."""
    found = cost_stores(graph)
    assert {name: one.costs for name, one in found.items()} == {
        "sqlite/a": True, "sqlite/b": True, "sqlite/c": True, "sqlite/d": False,
    }  # fmt: skip
    assert found["sqlite/a"].keep_analyses_s == 7 * 86_400


def known(**costs: bool) -> dict[str, CostStore]:
    return {name: CostStore(SqliteStore(None), 0.0, has) for name, has in costs.items()}


def test_the_one_that_is_meant() -> None:
    """The one that is named; the only one with costs; the only one."""
    stores = known(a=True, b=False, c=False)
    assert choose_store("b", stores) is stores["b"]
    assert choose_store("", stores) is stores["a"]
    stores = known(a=False)
    assert choose_store("", stores) is stores["a"]


@pytest.mark.parametrize(
    ("wanted", "costs", "message", "missing"),
    [
        ("x", {"b": True, "a": True}, "'x' is no exporter to a database that lasts; there is a, b", True),
        ("x", {}, "'x' is no exporter to a database that lasts; there is none", True),
        ("", {}, "no exporter of a pipeline writes to a database that lasts", True),
        ("", {"b": True, "a": True, "c": False}, "there are several databases, name one by ?exporter=: a, b", False),
        ("", {"b": False, "a": False}, "there are several databases, name one by ?exporter=: a, b", False),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_said(
    wanted: str, costs: dict[str, bool], message: str, *, missing: bool
) -> None:
    """With those that there are."""
    with pytest.raises(StoreChoiceError) as error:
        choose_store(wanted, known(**costs))
    assert str(error.value).startswith(message)
    assert error.value.missing is missing
