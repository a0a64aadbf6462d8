"""Turns of the extension: what can be done is done, and what a person may want to mend is said."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from collector.config.load import load
from collector.config.sources import Surroundings
from collector.config.types import Duration
from collector.cost.config import load_costs
from collector.cost.protobuf import encode_request
from collector.cost.record import Period
from collector.extensions.cost_attribution.config import CostAttributionConfig
from collector.extensions.cost_attribution.extension import CostAttribution
from collector.model.signal import Signal
from collector.pipeline.component import State
from collector.storage.sqlite.store import SqliteStore
from tests.contract.test_cost_runs import HOUR, START, telemetry
from tests.support.components import House, make_house
from tests.support.cost_samples import ledger
from tests.support.daemon import ROOT
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.stores import put

RULES: Final = ROOT / "config/cost/kubernetes-and-llm.yaml"
TO_MEND: Final = "Attribution found something to mend."


@contextmanager
def turning(path: Path, until: Callable[[House], bool], *, step_s: float = 1.0) -> Iterator[House]:
    """The extension over two hours of telemetry, until something has happened."""
    with closing(SqliteStore(path)) as store:
        store.open()
        store.migrate()
        put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(encode_request(ledger(start=START))))
        telemetry(store)
    cost = load_costs(load([str(ROOT / "config/prices/demo.yaml"), str(RULES)], (), Surroundings({})))
    clock = FakeClock(unix_nano=START + 4 * HOUR)
    house = make_house("cost_attribution", "extension", clock=clock)
    options = CostAttributionConfig(
        exporter="sqlite", interval=Duration(0.05), lookback=Duration(4 * 3600), policies=False
    )
    extension = CostAttribution(house.settings, options, SqliteStore(path), cost, 0.0)

    def seen() -> bool:
        clock.advance(step_s)
        return until(house)

    extension.start()
    try:
        eventually(seen, what="what the test waits for")
    finally:
        extension.shutdown()
    yield house


def two_turns(house: House) -> bool:
    return len(house.reports) >= 3


def test_a_stop_does_not_wait_for_a_long_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its store is closed under it. What it was at is made by the next turn, of whatever process."""
    began = threading.Event()

    def never_done(extension: CostAttribution, _period: Period) -> None:
        began.set()
        while True:
            extension._store.position(UUID(int=1))
            time.sleep(0.01)

    monkeypatch.setattr(CostAttribution, "_attribute", never_done)
    with turning(tmp_path / "telemetry.db", lambda _: began.is_set()) as house:
        pass
    assert [thread.name for thread in house.threads if thread.is_alive()] == []
    assert any("closed" in message for _, message in house.reports)


def test_what_a_person_may_want_to_mend_is_said_once(tmp_path: Path) -> None:
    """Where its rule is, and what to do; a rule that matched in one window, matched."""
    with turning(tmp_path / "t.db", two_turns) as house:
        said = [entry["what"] for entry in house.log.entries if entry["event"] == TO_MEND]
        line = 1 + RULES.read_text().splitlines().index("    - id: functions")
        assert f"{RULES}:{line}:7: rule 'functions': the rule matched nothing; see whether" in said[0]
        assert sum("unknown input': no price matches" in text for text in said) == 1
        assert not any("'k8s-node': the rule matched nothing" in text for text in said)
        state, text = house.reports[2]
        assert state is State.OK
        assert text.startswith("4 windows attributed; ")
        assert text.endswith("charges have no price; nothing matched by functions")


def test_a_window_that_cannot_be_attributed_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six groups of requests in the first hour, two in the second."""
    monkeypatch.setattr("collector.accounting.spans._GROUPS_MAX", 3)
    with turning(tmp_path / "t.db", two_turns) as house:
        state, text = house.reports[2]
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


def test_costs_that_do_not_add_up_are_said_and_when_they_do_again(tmp_path: Path) -> None:
    """Somebody changes a row of what was received, and changes it back; the daemon itself writes nothing then."""
    path = tmp_path / "t.db"

    received: list[str] = []

    def change(cost: str) -> None:
        with closing(sqlite3.connect(path, timeout=10)) as database, database:
            received.extend(
                database.execute(
                    "SELECT effective_cost FROM otlp_cost_allocations WHERE rowid = 1"
                ).fetchone()
            )
            database.execute("UPDATE otlp_cost_allocations SET effective_cost = ? WHERE rowid = 1", (cost,))

    def until(house: House) -> bool:
        said = [state for _, state, _ in house.parts]
        if said[-1:] == [State.OK]:
            change("0.5" if State.DEGRADED not in said else received[0])
        elif said[-1:] == [State.DEGRADED]:
            change(received[0])
        return State.DEGRADED in said and said[-1] is State.OK

    with turning(path, until, step_s=200.0) as house:
        assert house.parts[0] == ("cost", State.OK, "costs add up")
        [message] = {message for _, state, message in house.parts if state is State.DEGRADED}
        assert message.startswith(
            "1 amounts of costs differ from the sum of their parts: the view cost_balance"
        )
        assert house.parts[-1][1] is State.STOPPED
