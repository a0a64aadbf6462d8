"""Every limit of the receiver, as the table in its README has it, broken over real sockets.

The table is what is tested: defaults are those of the code, and what a client got, whether it comes back, and what
counts it is what the table says. Somebody else is served all the while.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import collector.receivers.otlp
from collector.model.signal import Signal
from tests.support.eventually import eventually
from tests.support.limits import connections, requests
from tests.support.limits.limit import NOW, Breach, Limit, head, is_retried, of_http
from tests.support.otlp import request
from tests.support.raw_http import RawHttp
from tests.support.raw_http2 import DATA, END_STREAM, RawHttp2
from tests.support.receiver import Running, running_receiver

README: Final = Path(collector.receivers.otlp.__file__).with_name("README.md")
LIMITS: Final = [*connections.LIMITS, *requests.LIMITS]
_TRACES: Final = f"/{Signal.TRACES.service}/Export"
_METRICS: Final = {
    "ended_connections": ("collector_receiver_ended_connections_total", "reason"),
    "requests": ("otelcol_receiver_requests_total", "outcome"),
    "rejected_requests": ("collector_receiver_rejected_requests_total", "reason"),
    "rejected_items": ("collector_receiver_rejected_items_total", "reason"),
    "normalised": ("collector_receiver_normalised_total", "rule"),
}


class Row(NamedTuple):
    """A line of the table. `retried` and `counted` tell the transports apart where they differ: see `of`."""

    name: str
    default: str
    grpc: str
    http: str
    retried: str
    counted: str


def rows() -> list[Row]:
    """The table."""
    text = README.read_text().partition("## Limits")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [Row(*(cell.strip() for cell in line.strip("|").split(" | "))) for line in lines[1:]]


ROWS: Final = {row.name: row for row in rows()}
CASES: Final = [
    pytest.param(limit, transport, id=f"{limit.name.replace('`', '')}-{transport}")
    for limit in LIMITS
    for transport in ("grpc", "http")
    if getattr(limit, transport) is not None
]


def test_the_table_has_every_limit_with_its_default() -> None:
    """In the order in which they are tested; a limit without a transport has none there."""
    expected = [(limit.name, limit.default, limit.grpc is None, limit.http is None) for limit in LIMITS]
    assert [(row.name, row.default, row.grpc == "—", row.http == "—") for row in rows()] == expected


@pytest.mark.parametrize(("limit", "transport"), CASES)
def test_who_breaks_a_limit_is_told_what_the_table_says(
    limit: Limit, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly that; it is counted as it says; and somebody else is served before, meanwhile and after."""
    row = ROWS[limit.name]
    breach: Breach = getattr(limit, transport)
    for (module, name), value in limit.patches.items():
        monkeypatch.setattr(module, name, value)
    with running_receiver(**limit.options) as running:
        before = counted(running, row, transport)
        with (across if limit.fills else beside)(running):
            answer = breach(running)
        assert answer == getattr(row, transport)
        assert is_retried(answer) == (of(row.retried, transport) == "yes")
        if before:
            eventually(
                lambda: all(
                    now > then for now, then in zip(counted(running, row, transport), before, strict=True)
                ),
                within_s=5,
                what=row.counted,
            )
        running.consumers[Signal.LOGS].error = None
        eventually(lambda: running.house.settings.budget.used == 0, what="giving the budget back")


def of(cell: str, transport: str) -> str:
    """What a cell says of a transport: one word for both, or first gRPC's and then HTTP's."""
    words = cell.split(" · ")
    return words[-1] if transport == "http" else words[0]


def counted(running: Running, row: Row, transport: str) -> list[float]:
    """The metrics that the row names."""
    samples = []
    for name, value in re.findall(r"`(\w+)` (\w+)", of(row.counted, transport)):
        metric, label = _METRICS[name]
        total = 0.0
        for family in running.house.meters.registry.collect():
            for sample in family.samples:
                if sample.name == metric and sample.labels[label] == value:
                    total += sample.value if sample.labels.get("transport", transport) == transport else 0
        samples.append(total)
    return samples


_numbers = itertools.count()


def _span() -> bytes:
    return request(Signal.TRACES, NOW, text=f"span {next(_numbers)}").SerializeToString()


@contextlib.contextmanager
def beside(running: Running) -> Iterator[None]:
    """Healthy clients, of both transports, that send and are answered all the time."""
    over = threading.Event()
    served = {"grpc": 0, "http": 0}
    problems: list[str] = []

    def by_grpc() -> None:
        client: RawHttp2 | None = None
        while not over.wait(0.01):
            client = client or RawHttp2(running.grpc)
            try:
                assert client.call(_TRACES, _span()).code == 0
            except EOFError:
                assert client.goaway is not None  # its age
            else:
                served["grpc"] += 1
            if client.goaway is not None:
                client.socket.close()
                client = None
        if client is not None:
            client.socket.close()

    def by_http() -> None:
        with RawHttp.to(running.http) as client:
            while not over.wait(0.01):
                body = _span()
                client.send(head(len(body), path="/v1/traces") + body)
                assert of_http(client) == "200"
                served["http"] += 1

    def guarded(body: object) -> None:
        try:
            body()  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001
            problems.append(repr(error))

    threads = [threading.Thread(target=guarded, args=(body,), daemon=True) for body in (by_grpc, by_http)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: problems or all(served.values()), what="healthy clients")
        yield
        after = dict(served)
        eventually(
            lambda: problems or all(served[name] > after[name] for name in served), what="being served"
        )
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
    assert not problems


@contextlib.contextmanager
def across(running: Running) -> Iterator[None]:
    """Healthy clients whose requests have begun before, and end after."""
    body, other = _span(), _span()
    with RawHttp2(running.grpc) as by_grpc, RawHttp.to(running.http) as by_http:
        stream = by_grpc.open(_TRACES)
        by_grpc.send_frame(DATA, 0, stream, b"\0" + len(body).to_bytes(4, "big"))
        by_http.send(head(len(other), path="/v1/traces") + other[:1])
        yield
        by_grpc.send_frame(DATA, END_STREAM, stream, body)
        assert by_grpc.read(stream).code == 0
        by_http.send(other[1:])
        assert of_http(by_http) == "200"
