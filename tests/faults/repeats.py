"""The same bytes more than once: whoever sends them again, and whenever, they are stored once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial

from collector.model.signal import OPENTELEMETRY, Signal
from tests.faults.generator import ACKED, Request
from tests.faults.outcome import Outcome
from tests.faults.proxy import Proxy
from tests.faults.stage import Stage, caught_up, closed, config
from tests.faults.stamp import request
from tests.faults.transport import Answer, Transport, open_transport
from tests.support.daemon import Daemon

_ITEMS = 10
_TRANSPORTS = ("grpc", "http")
_TIMEOUT_S = 20.0

# What sends a request through some transports, and returns all answers.
Sending = Callable[[Sequence[Transport], bytes], list[Answer]]


def _one_after_another(transports: Sequence[Transport], body: bytes) -> list[Answer]:
    """Three times: over each transport, and over the first once more."""
    return [transport.send(body, _TIMEOUT_S) for transport in (*transports, transports[0])]


def _at_once(transports: Sequence[Transport], body: bytes) -> list[Answer]:
    """From all transports at the same instant."""
    barrier = threading.Barrier(len(transports))
    answers: list[Answer] = []

    def send(transport: Transport) -> None:
        barrier.wait(_TIMEOUT_S)
        answers.append(transport.send(body, _TIMEOUT_S))

    threads = [threading.Thread(target=send, args=(transport,), daemon=True) for transport in transports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * _TIMEOUT_S)
    return answers


def _endpoints(daemon: Daemon) -> dict[str, str]:
    return {"grpc": daemon.grpc, "http": daemon.http.removeprefix("http://")}


def _deliver(
    signal: Signal, endpoints: dict[str, str], kinds: Sequence[str], requests: int, send: Sending, items: int
) -> tuple[list[Request], list[str]]:
    """Send requests of one signal, each several times; return what became of them, and what should not be."""
    client, problems, sent = f"twin-{signal.value}-{'-'.join(kinds)}", [], []
    with ExitStack() as stack:
        transports = [open_transport(kind, endpoints[kind], signal) for kind in kinds]
        for transport in transports:
            stack.callback(transport.close)
        for number in range(requests):
            first = number * items
            answers = send(transports, request(signal, client, first, items, time.time_ns()))
            if bad := [answer for answer in answers if not answer.acked or answer.rejected]:
                problems.append(f"{client} {first}: {bad[0]}")
            sent.append(
                Request(
                    client=client,
                    signal=signal.value,
                    first=first,
                    count=items,
                    outcome=ACKED,
                    attempts=len(answers),
                    silent=0,
                )
            )
    return sent, problems


def repeated(
    stage: Stage, *, send: Sending, kinds: Sequence[str], ack: str = "disk", items: int = _ITEMS
) -> Outcome:
    """Every copy is acknowledged, one is taken, and the others are counted as what they are."""
    requests: list[Request] = []
    problems: list[str] = []
    with stage.postgresql() as database:
        with stage.daemon(config(database, ack=ack, batch="{timeout: 50ms}")) as daemon:
            for signal in OPENTELEMETRY:
                sent, wrong = _deliver(signal, _endpoints(daemon), kinds, stage.pick(30, 1000), send, items)
                requests += sent
                problems += wrong
            caught_up(daemon)
            problems += _counted(daemon, requests)
            if code := daemon.stop():
                problems.append(f"exit code {code}")
        return stage.verdict(requests, database).but(*problems)


def _counted(daemon: Daemon, requests: Sequence[Request]) -> list[str]:
    """What is wrong with the daemon's counts when each request was taken once and acknowledged each time."""
    problems = closed(daemon, requests)
    for signal in OPENTELEMETRY:
        mine = [request for request in requests if request.signal == signal.value]
        again = sum(request.attempts - 1 for request in mine)
        counted = daemon.metric("collector_receiver_duplicate_requests", otel_signal=signal.value)
        if counted != again:
            problems.append(f"{signal.value}: counted {counted:.0f} of {again} repeated requests")
    answered = daemon.metric("otelcol_receiver_requests", outcome="success")
    if answered != (attempts := sum(request.attempts for request in requests)):
        problems.append(f"counted {answered:.0f} of {attempts} acknowledged requests")
    return problems


def mirrored(stage: Stage) -> Outcome:
    """A proxy sends each request on twice, over two connections, and the client hears one of the answers."""
    requests: list[Request] = []
    problems: list[str] = []
    with stage.postgresql() as database, ExitStack() as stack:
        daemon = stack.enter_context(stage.daemon(config(database, batch="{timeout: 50ms}")))
        near = {}
        for kind, endpoint in _endpoints(daemon).items():
            proxy = stack.enter_context(closing(Proxy(int(endpoint.rpartition(":")[2]))))
            proxy.mirror = True
            near[kind] = f"127.0.0.1:{proxy.port}"
        for signal in OPENTELEMETRY:
            for kind in _TRANSPORTS:
                sent, wrong = _deliver(signal, near, [kind], stage.pick(15, 500), _once, _ITEMS)
                requests += sent
                problems += wrong
        caught_up(daemon)
        problems += _mirrored_counts(daemon, requests)
        if code := daemon.stop():
            problems.append(f"exit code {code}")
        return stage.verdict(requests, database).but(*problems)


def _once(transports: Sequence[Transport], body: bytes) -> list[Answer]:
    [transport] = transports
    return [transport.send(body, _TIMEOUT_S)]


def _mirrored_counts(daemon: Daemon, requests: Sequence[Request]) -> list[str]:
    """The copy may be on its way when the client has its answer: the last one is waited for."""
    goal = len(requests)
    deadline = time.monotonic() + 10
    while daemon.metric("collector_receiver_duplicate_requests") < goal and time.monotonic() < deadline:
        time.sleep(0.05)
    counted = daemon.metric("collector_receiver_duplicate_requests")
    problems = closed(daemon, requests)
    if counted != goal:
        problems.append(f"counted {counted:.0f} of {goal} repeated requests")
    return problems


FAULTS: dict[str, Callable[[Stage], Outcome]] = {
    "thrice": partial(repeated, send=_one_after_another, kinds=_TRANSPORTS),
    "twins": partial(repeated, send=_at_once, kinds=("grpc", "http"), items=1000),
    "twins-grpc": partial(repeated, send=_at_once, kinds=("grpc", "grpc", "grpc"), ack="memory"),
    "twins-http": partial(repeated, send=_at_once, kinds=("http", "http", "http"), ack="stored"),
    "proxy-repeats": mirrored,
}
