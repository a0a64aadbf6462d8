"""Turns of the extension: what can be done is done, and what a person may want to mend is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from collector.config.load import load
from collector.config.sources import Surroundings
from collector.config.types import Duration
from collector.cost.config import load_costs
from collector.extensions.cost_attribution.config import CostAttributionConfig
from collector.extensions.cost_attribution.extension import CostAttribution
from collector.pipeline.component import State
from collector.storage.sqlite.store import SqliteStore
from tests.contract.test_cost_runs import HOUR, START, telemetry
from tests.support.components import House, make_house
from tests.support.daemon import ROOT
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock

RULES: Final = ROOT / "config/cost/kubernetes-and-llm.yaml"
TO_MEND: Final = "Attribution found something to mend."


@contextmanager
def turning(path: Path) -> Iterator[House]:
    """The extension over two hours of telemetry, until it has had two turns."""
    with closing(SqliteStore(path)) as store:
        store.open()
        store.migrate()
        telemetry(store)
    cost = load_costs(load([str(ROOT / "config/prices/demo.yaml"), str(RULES)], (), Surroundings({})))
    house = make_house("cost_attribution", "extension", clock=FakeClock(unix_nano=START + 4 * HOUR))
    options = CostAttributionConfig(
        exporter="sqlite", interval=Duration(0.05), lookback=Duration(4 * 3600), policies=False
    )
    extension = CostAttribution(house.settings, options, SqliteStore(path), cost, 0.0)
    extension.start()
    try:
        eventually(lambda: len(house.reports) >= 3, what="two turns")
    finally:
        extension.shutdown()
    yield house


def test_what_a_person_may_want_to_mend_is_said_once(tmp_path: Path) -> None:
    """Where its rule is, and what to do; a rule that matched in one window, matched."""
    with turning(tmp_path / "t.db") as house:
        said = [entry["what"] for entry in house.log.entries if entry["event"] == TO_MEND]
        line = 1 + RULES.read_text().splitlines().index("    - id: functions")
        assert f"{RULES}:{line}:7: rule 'functions': the rule matched nothing; see whether" in said[0]
        assert sum("unknown input': no price matches" in text for text in said) == 1
        assert not any("'k8s-node': the rule matched nothing" in text for text in said)
        state, text = house.reports[-1]
        assert state is State.OK
        assert text.startswith("4 windows attributed; ")
        assert text.endswith("charges have no price; nothing matched by functions")


def test_a_window_that_cannot_be_attributed_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six groups of requests in the first hour, two in the second."""
    monkeypatch.setattr("collector.accounting.spans._GROUPS_MAX", 3)
    with turning(tmp_path / "t.db") as house:
        state, text = house.reports[-1]
        assert state is State.DEGRADED
        assert text.startswith("the window from 2026-09-21T14:00:00Z is not attributed: rule 'request-share'")
        assert "; 3 windows attributed" in text
        assert house.sample(
            "collector_cost_attribution_runs_total", extension="cost_attribution", outcome="failed"
        )
        assert house.sample("collector_cost_attribution_records_total", extension="cost_attribution") > 0
        assert not house.sample(
            "collector_cost_attribution_last_success_seconds", extension="cost_attribution"
        )
