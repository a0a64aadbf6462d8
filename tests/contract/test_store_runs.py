"""What long work over a store stands on: rows as they are asked for, and a lock that one of many holds."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing

import pytest

from collector.model.signal import Signal
from collector.storage.store import QueryError, Store, store_for
from tests.support import samples
from tests.support.stores import put

ALL_SPANS = "SELECT name FROM otlp_spans WHERE name <> %(not)s ORDER BY time, name"


def test_a_stream_gives_the_rows_of_a_query(store: Store) -> None:
    """In its order, whatever comes at once, and no further than somebody asks."""
    put(store, Signal.TRACES, samples.traces())
    wanted = store.query(ALL_SPANS, {"not": "none"}).rows
    assert len(wanted) == 3
    with store.stream(ALL_SPANS, {"not": "none"}, rows_at_once=2) as rows:
        assert list(rows) == wanted
    with store.stream(ALL_SPANS, {"not": "none"}, rows_at_once=1) as rows:
        assert next(rows) == wanted[0]
    assert store.query(ALL_SPANS, {"not": "none"}).rows == wanted


@pytest.mark.parametrize("statement", ["SELECT nothing FROM nowhere", "DELETE FROM otlp_spans"])
def test_a_stream_only_reads_and_says_what_is_wrong(store: Store, statement: str) -> None:
    """As a query does."""
    with pytest.raises(QueryError), store.stream(statement, {}) as rows:
        list(rows)


def test_one_of_many_holds_a_lock(lasting_store_url: str) -> None:
    """Others, of this process or not, are told at once; other purposes are not concerned; it is given back."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(closing(store_for(lasting_store_url))) for _ in range(2))
        first.open()
        first.migrate()
        second.open()
        with first.exclusive("attribution") as locked:
            assert locked
            with second.exclusive("attribution") as other:
                assert not other
            with second.exclusive("something-else") as other:
                assert other
            put(first, Signal.TRACES, samples.traces())  # work goes on within it
        with second.exclusive("attribution") as other:
            assert other
        with pytest.raises(ZeroDivisionError), first.exclusive("attribution"):
            raise ZeroDivisionError
        with second.exclusive("attribution") as other:
            assert other


def test_threads_of_one_store_exclude_each_other(store: Store) -> None:
    """Also where there is no second connection: in memory."""
    seen: list[bool] = []

    def ask() -> None:
        with store.exclusive("attribution") as locked:
            seen.append(locked)

    with store.exclusive("attribution") as locked:
        assert locked
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    ask()
    assert seen == [False, True]
