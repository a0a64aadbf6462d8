"""Clients whose items say who sent them and in which order, and what they were told: an oracle for what is stored."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from contextlib import closing

from collector.model.signal import Signal
from collector.storage.decode import decode
from collector.storage.store import open_store
from tests.support.instrumented_app import post_json

ITEMS_PER_REQUEST = 10


def stamped(client: int, first: int) -> bytes:
    """A request with `ITEMS_PER_REQUEST` log records, stamped with client and number."""
    now = str(time.time_ns())
    records = [
        {"timeUnixNano": now, "body": {"stringValue": f"{client}/{number}"}}
        for number in range(first, first + ITEMS_PER_REQUEST)
    ]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


class Clients:
    """Several threads that send until told to stop. A request that failed is not repeated: the next has new numbers."""

    def __init__(self, count: int) -> None:
        self.acknowledged: set[str] = set()
        self.sent: set[str] = set()
        self.endpoint = ""
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(client,), daemon=True) for client in range(count)
        ]

    def start(self, endpoint: str) -> None:
        """Begin to send to the URL; it may be changed while they run."""
        self.endpoint = endpoint
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait for the last answers."""
        self._done.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _run(self, client: int) -> None:
        first = 0
        while not self._done.is_set():
            stamps = {f"{client}/{number}" for number in range(first, first + ITEMS_PER_REQUEST)}
            with self._lock:
                self.sent |= stamps
            try:
                post_json(self.endpoint, stamped(client, first))
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)  # it is down: not what is measured here
            else:
                with self._lock:
                    self.acknowledged |= stamps
            first += ITEMS_PER_REQUEST

    def judge(self, url: str) -> None:
        """None acknowledged is missing, none is stored twice, none is invented."""
        stored = stored_stamps(url)
        assert not [stamp for stamp, count in stored.items() if count > 1], "stored twice"
        assert not self.acknowledged - stored.keys(), "acknowledged and lost"
        assert not stored.keys() - self.sent, "invented"


def stored_stamps(url: str) -> Counter[str]:
    """The bodies of all log records in the store, with how often they are there."""
    with closing(open_store(url)) as store:
        rows = store.read(Signal.LOGS)
        back = decode(Signal.LOGS, rows.facts, rows.dimensions)
    return Counter(
        entry.body.string_value
        for resource in getattr(back, "resource_logs")  # noqa: B009  the three messages share a type
        for scope in resource.scope_logs
        for entry in scope.log_records
    )
