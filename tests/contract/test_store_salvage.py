"""What every store does with a batch that it refuses in part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from uuid import uuid4

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Refused
from collector.storage.encoding import payload_encoder
from collector.storage.salvage import write_what_goes
from collector.storage.sqlite.store import SqliteStore
from collector.storage.store import RowRefusedError, Store
from tests.faults.stamp import request
from tests.support.poison import refuse_in_memory, refusing
from tests.support.samples import NOW_UNIX_NANO

RECORDS, ITEMS = 4, 30
QUEUE = uuid4()


Refuse = Callable[[str], None]


@pytest.fixture
def refuse(store: Store, store_url: str) -> Iterator[Refuse]:
    """Call it with a condition on `{n}`, a number."""
    with ExitStack() as stack:

        def begin(bad: str) -> None:
            if isinstance(store, SqliteStore) and store.path is None:
                refuse_in_memory(store, bad)
            else:
                stack.enter_context(refusing(store_url, bad))

        yield begin


def records(signal: Signal) -> list[Telemetry]:
    return [
        Telemetry(signal, request(signal, "c", at, ITEMS, NOW_UNIX_NANO), ITEMS)
        for at in range(0, RECORDS * ITEMS, ITEMS)
    ]


def numbers(store: Store, signal: Signal) -> Counter[int]:
    table, column = {
        Signal.LOGS: ("logs", "attributes->>'sequence'"),
        Signal.TRACES: ("spans", "attributes->>'sequence'"),
        Signal.METRICS: ("metrics", "value_int"),
    }[signal]
    schema = "" if isinstance(store, SqliteStore) else "telemetry."
    return Counter(int(number) for (number,) in store.query(f"SELECT {column} FROM {schema}{table}").rows)


def salvage(store: Store, signal: Signal, data: Sequence[Telemetry]) -> list[Refused]:
    encode = payload_encoder(signal).encode
    with store.parts(queue_id=QUEUE, start=0, end=len(data)) as write:
        assert write is not None
        return write_what_goes(data, encode, write)


@pytest.mark.parametrize(
    ("signal", "bad"),
    [
        (Signal.LOGS, "{n} = 77"),
        (Signal.LOGS, "{n} >= 0"),
        (Signal.LOGS, "{n} < 0"),
        (Signal.TRACES, "{n} IN (0, 31, 32, 119)"),
        (Signal.METRICS, "{n} % 3 = 1"),
    ],
)
def test_bad_items_take_no_other_with_them(store: Store, refuse: Refuse, signal: Signal, bad: str) -> None:
    """All that can be stored is, once, in one transaction with the position; the rest is named, with its place."""
    refuse(bad)
    data = records(signal)
    wrong = {
        n for n in range(RECORDS * ITEMS) if eval(bad.format(n=n).replace(" = ", " == ").replace("IN", "in"))
    }
    encode = payload_encoder(signal).encode
    if wrong:
        with pytest.raises(PermanentError):
            store.write(encode([one.payload for one in data]), queue_id=QUEUE, start=0, end=RECORDS)
        assert not numbers(store, signal)
    refused = salvage(store, signal, data)
    assert [one.record * ITEMS + one.first for one in refused] == sorted(wrong)
    assert all(one.data.items == 1 and one.message for one in refused)
    assert numbers(store, signal) == Counter(set(range(RECORDS * ITEMS)) - wrong)
    assert store.position(QUEUE) == RECORDS
    with store.parts(queue_id=QUEUE, start=0, end=RECORDS) as write:
        assert write is None, "it is there"


def test_a_refused_item_keeps_its_envelopes(store: Store, refuse: Refuse) -> None:
    """So that it can be sent again as it came."""
    refuse("{n} = 33")
    [refused] = salvage(store, Signal.LOGS, records(Signal.LOGS))
    message = ExportLogsServiceRequest.FromString(refused.data.payload)
    [resource] = message.resource_logs
    assert resource.resource.attributes[0].value.string_value == "faults"
    assert [one.attributes[1].value.int_value for one in resource.scope_logs[0].log_records] == [33]
    assert (refused.record, refused.first) == (1, 3)


@pytest.mark.parametrize("signal", [Signal.METRICS])
def test_nothing_is_stored_if_what_is_refused_cannot_be_kept(
    store: Store, refuse: Refuse, signal: Signal
) -> None:
    """And afterwards the store writes all of it, dimensions included."""
    refuse("{n} = 77")
    data = records(signal)
    encode = payload_encoder(signal).encode

    def begin() -> None:
        with store.parts(queue_id=QUEUE, start=0, end=RECORDS) as write:
            assert write is not None
            write_what_goes(data, encode, write)
            raise RetryableError("no room", reason="full")

    with pytest.raises(RetryableError):
        begin()
    assert store.position(QUEUE) is None
    assert not numbers(store, signal)
    salvage(store, signal, data)
    assert numbers(store, signal) == Counter(set(range(RECORDS * ITEMS)) - {77})
    assert len(store.read(signal).dimensions) > 1


@pytest.mark.parametrize("signal", [Signal.LOGS, Signal.TRACES, Signal.METRICS])
@pytest.mark.parametrize("count", [10, ITEMS])  # as rows, and compressed on arrival where that can be done
def test_a_refusal_names_the_row(store: Store, refuse: Refuse, signal: Signal, count: int) -> None:
    """PostgreSQL's, and where it is among those that were given: what makes many refusals bearable."""
    refuse("{n} >= 7")
    encoded = payload_encoder(signal).encode([request(signal, "c", 0, count, NOW_UNIX_NANO)])
    with store.parts(queue_id=QUEUE, start=0, end=1) as write:
        assert write is not None
        with pytest.raises(PermanentError) as refusal:
            write(encoded)
    if isinstance(store, SqliteStore):
        return
    assert isinstance(refusal.value, RowRefusedError)
    [rows] = encoded.facts.values()
    assert refusal.value.row == rows[refusal.value.place]
    assert refusal.value.place == 7
