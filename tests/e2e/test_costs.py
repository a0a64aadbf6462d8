"""Costs through the whole daemon: over every transport, refused one by one, stored once, and seen to add up."""

from __future__ import annotations

import json
import urllib.request
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest

from collector.cost.protobuf import encode_request
from collector.cost.record import CostAttributionRecord
from collector.model.signal import Signal
from collector.storage.decode_costs import cost_records
from collector.storage.store import Store, open_store
from collector.wire.json_encode import encode_json
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, ledger
from tests.support.daemon import Daemon, running
from tests.support.destination import Destination, postgresql_destination, sqlite_destination
from tests.support.eventually import eventually
from tests.support.instrumented_app import post_json


@pytest.fixture(params=["sqlite", "postgresql", "timescaledb"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    """Each kind of store."""
    if request.param == "sqlite":
        return sqlite_destination(tmp_path / "c.db")
    url: str = request.getfixturevalue(f"{request.param}_url")
    return postgresql_destination(url, exporter=request.param)


def _config(destination: Destination, directory: Path) -> str:
    text = destination.config(batch="{timeout: 20ms}", extra=", sending_queue: {storage: file_storage}")
    text = text.replace("service:\n", "service:\n  extensions: [file_storage]\n")
    return text + f'extensions: {{file_storage: {{directory: "{directory}"}}}}\n'


def _over_grpc(daemon: Daemon, body: bytes) -> Any:
    with grpc.insecure_channel(daemon.grpc) as channel:
        export = channel.unary_unary(f"/{Signal.COSTS.service}/Export", None, None)
        return Signal.COSTS.response_type().FromString(export(body, timeout=20))


def _over_http(daemon: Daemon, body: bytes) -> Any:
    request = urllib.request.Request(
        f"{daemon.http}/v1/costs", body, {"Content-Type": "application/x-protobuf"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        return Signal.COSTS.response_type().FromString(response.read())


def _stored(store: Store) -> dict[bytes, CostAttributionRecord]:
    records = cost_records(store.read(Signal.COSTS))
    found = {record.record_id: record for record in records}
    assert len(found) == len(records)
    return found


def test_costs_arrive_over_every_transport_and_are_stored_once(
    destination: Destination, tmp_path: Path
) -> None:
    """Also when the process is killed and the clients, who know nothing, send everything again."""
    expected: dict[bytes, CostAttributionRecord] = {}
    for turn in range(3):
        with running(tmp_path, _config(destination, tmp_path / "queue")) as daemon:
            for number in range(4):
                records = ledger(f"service {number}", start=NOW_UNIX_NANO - number * HOUR)
                expected |= {record.record_id: record for record in records}
                body = encode_request(records)
                request: Any = Signal.COSTS.request_type().FromString(body)
                # Another order each time, so that it is not taken for the same request.
                request.records.append(request.records[turn])
                del request.records[turn]
                body = request.SerializeToString()
                if number % 3 == 0:
                    assert not _over_grpc(daemon, body).HasField("partial_success")
                elif number % 3 == 1:
                    assert not _over_http(daemon, body).HasField("partial_success")
                else:
                    assert post_json(f"{daemon.http}/v1/costs", encode_json(Signal.COSTS, request)) == b"{}"
            if turn < 2:
                daemon.kill()
                continue
            eventually(lambda: daemon.metric("collector_exporter_queue_items") == 0, within_s=60)
            assert daemon.metric("otelcol_receiver_accepted_cost_records") == 24
            _is_well(daemon)
            assert daemon.stop() == 0
    with closing(open_store(destination.url)) as store:
        assert _stored(store) == expected


def _is_well(daemon: Daemon) -> None:
    """The balance is looked at, and shown."""

    def looked() -> bool:
        parts = [part for part in daemon.health()["components"] if part["scope"] == "cost"]
        return [(part["state"], part["message"]) for part in parts] == [("ok", "costs add up")]

    eventually(looked, what="a look at the balance")
    [database] = json.loads(daemon.get("/database/info")[1])["databases"]
    assert (database["costs"]["balanced"], database["costs"]["unbalanced_amounts"]) == (True, 0)


def test_an_invalid_record_is_refused_alone(tmp_path: Path) -> None:
    """The client hears how many, and of the first which field; the others are stored."""
    destination = sqlite_destination(tmp_path / "c.db")
    request: Any = Signal.COSTS.request_type().FromString(encode_request(ledger()))
    broken = request.records.add()
    broken.CopyFrom(request.records[0])
    broken.effective_cost = "1e3"
    with running(tmp_path, destination.config()) as daemon:
        for answer in (
            _over_grpc(daemon, request.SerializeToString()).partial_success,
            _over_http(daemon, request.SerializeToString() + b"\n\0").partial_success,
        ):
            assert answer.rejected_records >= 1
            assert "records[6].effective_cost" in answer.error_message
        assert daemon.metric("collector_receiver_rejected_items") == 3
        assert daemon.stop() == 0
    with closing(open_store(destination.url)) as store:
        assert len(_stored(store)) == 6
        [[total]] = store.query("SELECT decimal_sum(effective_cost) FROM costs").rows
        assert Decimal(total) == 1


def test_without_a_pipeline_costs_are_not_taken(tmp_path: Path) -> None:
    """And it is said what is missing."""
    destination = sqlite_destination(tmp_path / "c.db")
    config = destination.config()
    at = config.index(", costs: ")
    config = f"{config[:at]}}}\n"
    with running(tmp_path, config) as daemon:
        with pytest.raises(grpc.RpcError) as refused:
            _over_grpc(daemon, encode_request(ledger()))
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "no pipeline for costs" in str(refused.value.details())
        assert daemon.stop() == 0
