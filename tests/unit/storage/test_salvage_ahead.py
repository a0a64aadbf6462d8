"""A batch is refused in part while the one after it is encoded ahead."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.queue import MemoryQueue
from collector.pipeline.sender import Sender
from collector.pipeline.sender_config import SenderConfig
from collector.storage.encoding import PayloadEncoder, payload_encoder
from collector.storage.exporter import StoreExporter
from collector.storage.rows import Encoded
from collector.storage.sqlite.store import SqliteStore
from collector.version import native
from tests.faults.stamp import request
from tests.support.components import make_house
from tests.support.fake_clock import FakeClock
from tests.support.poison import refusing
from tests.support.samples import NOW_UNIX_NANO

ITEMS, RECORDS_EACH = 10, 2
EACH = ITEMS * RECORDS_EACH


class _Watched:
    """An encoder that says what it encodes, and whether the thread ahead does it."""

    def __init__(self, encoder: PayloadEncoder) -> None:
        self._encoder = encoder
        self.encoded: list[tuple[tuple[bytes, ...], bool]] = []

    def encode(self, payloads: Sequence[bytes]) -> Encoded:
        self.encoded.append((tuple(payloads), threading.current_thread().name.endswith("encode")))
        return self._encoder.encode(payloads)


@pytest.mark.parametrize("clients", ["aaa", "aab", "abb", "abc"])
def test_salvage_takes_nothing_from_the_batch_made_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clients: str
) -> None:
    """Everything but the bad item is stored once, with its dimensions, whichever batch brings them first."""
    watched = _Watched(payload_encoder(Signal.METRICS))
    monkeypatch.setattr("collector.storage.exporter.payload_encoder", lambda _signal, _memory: watched)
    house = make_house("test", "exporter", clock=FakeClock(unix_nano=NOW_UNIX_NANO))
    path = tmp_path / "telemetry.db"
    exporter = StoreExporter(
        house.settings,
        SqliteStore(path, clock=house.settings.clock),
        migrate=True,
        retention_s={},
        retention_interval_s=3600.0,
        local=True,
    )
    exporter.start()
    queue = MemoryQueue(1_000_000, house.settings.clock)
    limits = BatchLimits(items_min=EACH, items_max=EACH, interval_s=3600.0)
    sender = Sender(house.settings, exporter, Signal.METRICS, queue, SenderConfig(), limits)
    payloads = []
    for batch, client in enumerate(clients):
        for record in range(RECORDS_EACH):
            at = batch * EACH + record * ITEMS
            payloads.append(request(Signal.METRICS, client, at, ITEMS, NOW_UNIX_NANO))
            sender.consume(Telemetry(Signal.METRICS, payloads[-1], ITEMS))
    poison = EACH + 5
    with refusing(f"sqlite:///{path}", f"{{n}} = {poison}"):
        while queue.items:
            sender.turn()
    last = tuple(payloads[-RECORDS_EACH:])
    # Dimensions that are not confirmed yet keep the next batch waiting: nothing is made ahead beside them. The
    # reference encoder gives all dimensions with each batch, and has nothing to confirm.
    assert ((last, True) in watched.encoded) == (clients[0] == clients[1] or not native())
    stored = exporter.store.query("SELECT attributes->>'client', value_int FROM metrics").rows
    expected = {(client, n) for b, client in enumerate(clients) for n in range(b * EACH, (b + 1) * EACH)}
    assert Counter((client, int(n)) for client, n in stored) == Counter(expected - {(clients[1], poison)})
    assert house.sample("otelcol_exporter_sent_metric_points_total", exporter="test") == 3 * EACH - 1
    sender.shutdown()
    exporter.shutdown()
