"""The oracle and the stamps themselves: what they could overlook would be lost twice."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from collector.model.signal import OPENTELEMETRY, Signal
from collector.model.telemetry import Telemetry
from collector.storage.encode import encode
from collector.storage.store import store_for
from tests.faults.generator import ACKED, REFUSED, UNANSWERED, Request
from tests.faults.oracle import Books, judge
from tests.faults.stamp import Item, request, stored

NOW = 1_790_000_000_000_000_000


def sent(outcome: str, **changes: Any) -> Request:
    """A request of the items 0 to 3 of client a."""
    given: dict[str, Any] = {
        "client": "a",
        "signal": "logs",
        "first": 0,
        "count": 4,
        "attempts": 1,
        "silent": 0,
    }
    return Request(**given | {"outcome": outcome} | changes)


def items(*numbers: int) -> Counter[Item]:
    return Counter(("a", number) for number in numbers)


def test_all_stored_once_is_no_problem() -> None:
    verdict = judge([sent(ACKED)], items(0, 1, 2, 3))
    assert (verdict.acked, verdict.stored, verdict.problems()) == (4, 4, [])


@pytest.mark.parametrize(
    ("outcome", "changes", "found", "problems"),
    [
        (ACKED, {}, (0, 1, 3), ["1 lost"]),
        (ACKED, {"rejected": 1}, (0, 1, 3), []),
        (ACKED, {"rejected": 1}, (0, 1), ["1 lost"]),
        (ACKED, {}, (0, 1, 1, 1, 2, 3), ["2 doubled"]),
        (ACKED, {}, (0, 1, 2, 3, 4), ["1 invented"]),
        (UNANSWERED, {"silent": 1}, (), []),
        (UNANSWERED, {"silent": 1}, (0, 1, 2, 3), []),
        (UNANSWERED, {"silent": 1}, (0, 0, 1, 2, 3), ["1 doubled"]),
    ],
)
def test_what_must_not_be_is_named(
    outcome: str, changes: dict[str, Any], found: tuple[int, ...], problems: list[str]
) -> None:
    assert judge([sent(outcome, **changes)], items(*found)).problems() == problems


def test_what_was_refused_and_stored_all_the_same_is_counted() -> None:
    assert judge([sent(REFUSED)], items(0, 1)).refused_stored == 2


def test_books_that_do_not_balance_are_named() -> None:
    def books(queued: int) -> Books:
        return Books(
            accepted=9,
            unconfirmed=0,
            restored={},
            enqueued={"x": 9},
            sent={"x": 4},
            dropped={"x": 1},
            dead_lettered={"x": 1},
            queued={"x": queued},
        )

    assert books(3).problems() == []
    assert books(2).problems() == ["x: enqueued 9 is not sent 4 + dropped 1 + dead-lettered 1 + queued 2"]


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_every_stamped_item_is_found_again_in_a_store(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each signal's requests, written as the daemon writes them, are read back by plain SQL."""
    url = (
        request.getfixturevalue("postgresql_url") if store == "postgresql" else f"sqlite:///{tmp_path / 'x'}"
    )
    with closing(store_for(url)) as opened:
        opened.open()
        opened.migrate()
        for signal in OPENTELEMETRY:
            body = stamped(signal)
            encoded = encode(signal, [Telemetry(signal, body, 3).parse()])
            assert opened.write(encoded, queue_id=uuid4(), start=0, end=1)
    assert stored(url) == Counter((signal.value, number) for signal in OPENTELEMETRY for number in (7, 8, 9))


def stamped(signal: Signal) -> bytes:
    return request(signal, signal.value, 7, 3, NOW, padding=10)
