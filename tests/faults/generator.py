"""Clients that send stamped telemetry and write down what became of each request: a process of its own.

    python -m tests.faults.generator '<Plan as JSON>'

It obeys answers as SDKs do (opentelemetry-proto, docs/specification.md, "Failures"): what is retryable is sent
again, not before the delay that was asked for, and given up after `patience_s`. It ends after `seconds`, or when
its standard input is closed, and always finishes the request it is at.
"""

from __future__ import annotations

import dataclasses
import json
import random
import select
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TextIO

from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.wire.json_encode import encode_json
from tests.faults.stamp import request
from tests.faults.transport import JSON, PROTOBUF, Answer, Transport, open_transport

ACKED, REFUSED, UNANSWERED = "acked", "refused", "unanswered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One sender: its name, what it sends, and where to. `endpoint` is host:port.

    `coding`: protobuf, gzip (of it) or json. `items` and `padding` as in the plan, which has them for all others.
    """

    name: str
    signal: str
    transport: str  # grpc | http
    endpoint: str
    coding: str = PROTOBUF
    items: int | None = None
    padding: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the process is to do. `rate` is in items per second and client; 0: as fast as it is taken."""

    clients: list[Client]
    journal: str
    rate: float = 0.0
    items: int = 10
    padding: int = 0
    seconds: float = 3600.0
    patience_s: float = 60.0
    timeout_s: float = 10.0
    resend: bool = True  # what was not answered at all
    most: int = 0  # requests per client; 0: no such limit
    together: bool = False  # nobody sends the first request before all have made theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request and its fate, as a line of the journal."""

    client: str
    signal: str
    first: int
    count: int
    outcome: str  # acked, refused (with an answer each time), or unanswered
    attempts: int
    silent: int  # attempts without an answer: whether they were taken, the client cannot know
    codes: list[str] = field(default_factory=list)  # of the answers that were not OK, each once
    rejected: int = 0  # items refused for ever by partial success
    at: float = 0.0  # Unix time of the first attempt
    took_s: float = 0.0  # of the last attempt


class _Journal:
    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def write(self, entry: Request) -> None:
        line = json.dumps(dataclasses.asdict(entry))
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()


class _Start:
    """The moment at which so many are ready to begin."""

    def __init__(self, missing: int) -> None:
        self._missing = missing
        self._lock = threading.Lock()
        self._all = threading.Event()

    def wait(self, stop: threading.Event) -> None:
        with self._lock:
            self._missing -= 1
            if self._missing <= 0:
                self._all.set()
        while not self._all.wait(0.1) and not stop.is_set():
            pass


def run(plan: Plan, stop: threading.Event) -> None:
    """Send until `stop` is set, or the plan is fulfilled."""
    with open(plan.journal, "a", encoding="utf-8") as file:  # noqa: PTH123  a stream, kept open
        journal = _Journal(file)
        start = _Start(len(plan.clients) if plan.together else 0)
        threads = [
            threading.Thread(target=_send, args=(plan, client, journal, stop, start), daemon=True)
            for client in plan.clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _send(plan: Plan, client: Client, journal: _Journal, stop: threading.Event, start: _Start) -> None:
    rng = random.Random(client.name)
    signal = Signal(client.signal)
    begin = time.monotonic()
    first = sent = 0
    transport = open_transport(client.transport, client.endpoint, signal, client.coding)
    items = plan.items if client.items is None else client.items
    padding = plan.padding if client.padding is None else client.padding
    while not stop.is_set() and time.monotonic() < begin + plan.seconds:
        if plan.most and sent >= plan.most:
            break
        if plan.rate:
            due = begin + first / plan.rate
            if stop.wait(max(0.0, due - time.monotonic())):
                break
        body = request(signal, client.name, first, items, time.time_ns(), padding)
        if client.coding == JSON:
            body = encode_json(signal, Telemetry(signal, body, items).parse())
        if not first:
            start.wait(stop)
        journal.write(_deliver(plan, client, transport, body, first, items, rng))
        first += items
        sent += 1
    transport.close()


def _deliver(
    plan: Plan,
    client: Client,
    transport: Transport,
    body: bytes,
    first: int,
    items: int,
    rng: random.Random,
) -> Request:
    at, began = time.time(), time.monotonic()
    attempts = silent = 0
    codes: list[str] = []
    backoff_s = 0.1
    while True:
        attempts += 1
        attempt_began = time.monotonic()
        answer: Answer = transport.send(body, plan.timeout_s)
        now = time.monotonic()
        if answer.code and answer.code not in codes:
            codes.append(answer.code)
        silent += answer.silent
        again = answer.retry and (plan.resend or not answer.silent)
        wait_s = max(answer.delay_s, backoff_s) * rng.uniform(1.0, 1.3)
        if answer.acked or not again or now + wait_s > began + plan.patience_s:
            outcome = ACKED if answer.acked else UNANSWERED if silent else REFUSED
            return Request(
                client=client.name,
                signal=client.signal,
                first=first,
                count=items,
                outcome=outcome,
                attempts=attempts,
                silent=silent,
                codes=codes,
                rejected=answer.rejected,
                at=at,
                took_s=now - attempt_began,
            )
        time.sleep(wait_s)
        backoff_s = min(backoff_s * 1.5, 2.0)


def main() -> None:
    """Command line: see the module."""
    given = json.loads(sys.argv[1])
    plan = Plan(**given | {"clients": [Client(**client) for client in given["clients"]]})
    stop = threading.Event()

    def listen() -> None:
        select.select([sys.stdin], [], [])  # nothing is ever written to it: it can only end
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    run(plan, stop)


if __name__ == "__main__":
    main()
