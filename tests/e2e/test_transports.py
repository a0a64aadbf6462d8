"""A real app, instrumented by the real SDK, over every transport, into every store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from collector.model.signal import OPENTELEMETRY, Signal
from collector.storage.decode import decode
from collector.storage.rows import Encoded
from collector.storage.store import open_store
from collector.wire.canonical import canonical
from tests.support.daemon import running
from tests.support.destination import STORES, Destination, postgresql_destination, sqlite_destination
from tests.support.instrumented_app import TRANSPORTS, Recording, record, send

Rows = dict[Signal, Encoded]


@pytest.fixture(scope="module")
def recording() -> Recording:
    """One run of the app; the tests send it again and again."""
    return record()


@pytest.fixture(scope="module")
def new_destination(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str], Destination]:
    """Make an empty database of the store named."""

    def make(store: str) -> Destination:
        if store == "sqlite":
            return sqlite_destination(tmp_path_factory.mktemp("sqlite") / "collector.db")
        server = request.getfixturevalue(f"{store}_server")
        url = server.create_database(timescaledb=store == "timescaledb")
        request.addfinalizer(lambda: server.drop_database(url))
        return postgresql_destination(url, exporter=store)

    return make


@pytest.fixture(scope="module")
def stored(
    recording: Recording,
    new_destination: Callable[[str], Destination],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Any], Rows]:
    """The rows in a store after the recording has gone through the daemon over a transport; each done once."""
    done: dict[tuple[str, str], Rows] = {}

    def run(store: str, transport: Any) -> Rows:
        if (store, transport) not in done:
            destination = new_destination(store)
            with running(tmp_path_factory.mktemp("daemon"), destination.config()) as daemon:
                send(recording, daemon, transport)
                assert daemon.stop() == 0
            with closing(open_store(destination.url)) as opened:
                done[store, transport] = {signal: opened.read(signal) for signal in OPENTELEMETRY}
        return done[store, transport]

    return run


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("store", STORES)
def test_what_is_stored_is_what_the_app_sent(
    stored: Callable[[str, Any], Rows], recording: Recording, store: str, transport: str
) -> None:
    """Every field of every span, point and record comes back out of the database as OTLP, and no more."""
    rows = stored(store, transport)
    messages = recording.messages()
    for signal in OPENTELEMETRY:
        back = decode(signal, rows[signal].facts, rows[signal].dimensions)
        assert canonical(signal, [back]) == canonical(signal, [messages[signal]])
        assert rows[signal].items == recording.items()[signal]


@pytest.mark.parametrize("store", STORES)
def test_every_transport_stores_equal_rows(stored: Callable[[str, Any], Rows], store: str) -> None:
    """How an app sends is nobody's business afterwards."""
    expected = stored(store, "grpc")
    for transport in ("http/protobuf", "http/json"):
        assert stored(store, transport) == expected


@pytest.mark.parametrize("store", ["postgresql", "timescaledb"])
def test_every_store_holds_equal_rows(stored: Callable[[str, Any], Rows], store: str) -> None:
    """The same tables and columns, whatever the database."""
    assert stored(store, "grpc") == stored("sqlite", "grpc")


def test_the_recording_has_what_it_is_meant_to_have(recording: Recording) -> None:
    """Links, events, errors, exemplars and each kind of metric: or the tests above would prove less."""
    messages: Any = recording.messages()
    spans = [
        span
        for resource in messages[Signal.TRACES].resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert any(span.links for span in spans)
    assert any(event.name == "exception" for span in spans for event in span.events)
    assert any(span.status.code == 2 for span in spans)
    metrics = [
        metric
        for resource in messages[Signal.METRICS].resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    kinds = {metric.WhichOneof("data") for metric in metrics}
    assert kinds == {"gauge", "sum", "histogram", "exponential_histogram"}
    assert any(
        point.exemplars
        for metric in metrics
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    )
