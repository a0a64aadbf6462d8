"""`/allocation`: what is answered when something is wrong, and how much is answered at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from collector.cost.protobuf import encode_request
from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.service import allocations
from collector.service.cost_stores import CostStore
from collector.storage.sqlite.store import SqliteStore
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, hours
from tests.support.fake_clock import FakeClock
from tests.support.stores import put

CLOCK = FakeClock(unix_nano=NOW_UNIX_NANO)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "c.db")) as store:
        store.open()
        store.migrate()
        for records in hours(3):
            put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(encode_request(records)))
        yield store


def ask(
    stores: dict[str, Any], path: str = "/allocation", *, fed: Any = (), **parameters: str
) -> tuple[int, dict[str, Any]]:
    known = {name: CostStore(one, 0.0, name in fed) for name, one in stores.items()}
    status, kind, body = allocations.answer(path, parameters, known, CLOCK)
    assert kind == "application/json"
    found: dict[str, Any] = json.loads(body)
    assert found["code"] == status
    return status, found


def test_an_answer_has_opencosts_envelope(store: SqliteStore) -> None:
    """A map by name for each step; the summary has the same totals in fewer fields."""
    status, found = ask({"sqlite": store}, window="24h", aggregate="namespace", step="1h")
    assert (status, found["status"], len(found["data"])) == (200, "success", 24)
    totals = [sum(row["totalCost"] for row in rows.values()) for rows in found["data"]]
    assert [round(total, 9) for total in totals[-4:]] == [1, 1, 1, 0]
    _, brief = ask(
        {"sqlite": store}, "/allocation/summary", window="24h", aggregate="namespace", accumulate="true"
    )
    [one] = brief["data"]["sets"]
    assert brief["data"]["step"] == 24 * HOUR
    assert brief["data"]["window"] == one["window"]
    assert set(one["allocations"]) == {"shop", "__idle__"}
    assert "cpuCoreHours" not in one["allocations"]["shop"]
    assert sum(row["totalCost"] for row in one["allocations"].values()) == pytest.approx(3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "window: is required"),
        ({"window": "soon"}, "window: 'soon' is not a period of time"),
        ({"window": "1d", "agregate": "pod"}, "agregate: is not a parameter; is aggregate meant?"),
        ({"window": "365d", "step": "1m"}, "step: gives more than 10000 sets"),
        ({"window": "1d", "exporter": "other"}, "exporter: 'other' is no exporter to a database that lasts; there is a"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named_with_400(
    store: SqliteStore, parameters: dict[str, str], message: str
) -> None:
    """And what it may be."""
    status, found = ask({"a": store}, **parameters)
    assert status == 400
    assert message in found["message"]


def test_of_several_databases_the_one_that_costs_are_sent_to_is_asked(store: SqliteStore) -> None:
    """Or one has to be named."""
    assert ask({"a": store, "b": store}, window="1d", fed=("b",))[0] == 200
    assert ask({"a": store, "b": store}, window="1d", exporter="a")[0] == 200
    status, found = ask({"a": store, "b": store}, window="1d")
    assert (status, found["message"]) == (
        400,
        "exporter: there are several databases, name one by ?exporter=: a, b",
    )
    status, found = ask({}, window="1d")
    assert (status, found["message"]) == (
        400,
        "exporter: no exporter of a pipeline writes to a database that lasts, in which costs could be",
    )


def test_an_answer_has_bounds(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and time; both say what to do."""
    monkeypatch.setattr(allocations, "ROWS_MAX", 1)
    status, found = ask({"a": store}, window="1d", aggregate="pod")
    assert (status, found["message"]) == (400, "aggregate: gives more than 1 rows; name fewer properties")
    monkeypatch.setattr(allocations, "READING_MAX_S", -1.0)
    status, found = ask({"a": store}, window="1d", aggregate="pod")
    assert status == 503
    assert "ask for a shorter one, or use `collector cost allocation`" in found["message"]


def test_a_database_that_is_away_or_empty_is_said(tmp_path: Path) -> None:
    """Without what a driver would say of it."""
    with closing(SqliteStore(tmp_path / "none.db")) as store:
        status, found = ask({"a": store}, window="1d")
    assert status == 503
    assert "database" in found["message"]

    class Away(SqliteStore):
        def stream(self, *_: Any, **__: Any) -> Any:
            raise RetryableError("password=secret", reason="cannot_connect")

    status, found = ask({"a": Away(tmp_path / "away.db")}, window="1d")
    assert (status, found["message"]) == (503, "the database cannot be read now: cannot_connect")
