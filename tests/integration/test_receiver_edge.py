"""The receiver's edge over real sockets: what it answers, what it hands on, what it counts, whatever the protocol."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from collector.config.types import Duration
from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import OPENTELEMETRY, Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.queue import full_error
from collector.receivers.otlp.config import AdmissionConfig
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.otlp import request
from tests.support.raw_http import RawHttp
from tests.support.receiver import Running, running_receiver

NOW = FakeClock().unix_nano()
# Times the size of a request: what one takes at most, where nothing is compiled and the reference has to parse it.
PARSED = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client learns, in either protocol."""

    accepted: bool
    retryable: bool
    message: str
    rejected: int = 0
    delay_s: float | None = None


def send_grpc(
    running: Running, signal: Signal, body: bytes, compression: grpc.Compression | None = None
) -> Answer:
    with grpc.insecure_channel(running.grpc) as channel:
        export = channel.unary_unary(f"/{signal.service}/Export", bytes, bytes)
        try:
            reply = export(body, timeout=20, compression=compression)
        except grpc.RpcError as error:
            call: Any = error
            trailers = dict(call.trailing_metadata())
            status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
            assert (status.code, status.message) == (call.code().value[0], call.details())
            delay = None
            if "google.rpc.retryinfo-bin" in trailers:
                info = error_details_pb2.RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])
                delay = info.retry_delay.ToTimedelta().total_seconds()
            return Answer(False, call.code() is grpc.StatusCode.UNAVAILABLE, call.details(), delay_s=delay)
    return accepted(signal, reply)


def send_http(running: Running, signal: Signal, body: bytes) -> Answer:
    with RawHttp.to(running.http) as client:
        reply = client.request("POST", signal.http_path, {"Content-Type": "application/x-protobuf"}, body)
    if reply.status == 200:
        return accepted(signal, reply.body)
    status = status_pb2.Status.FromString(reply.body)
    delay = reply.headers.get("retry-after")
    return Answer(False, reply.status == 503, status.message, delay_s=None if delay is None else float(delay))


def wait_for_waiting(running: Running, count: int) -> None:
    """Until so many requests wait for room."""
    eventually(
        lambda: sample(running, "collector_receiver_waiting_requests") == count, what=f"{count} waiting"
    )


def accepted(signal: Signal, reply: bytes) -> Answer:
    response: Any = signal.response_type().FromString(reply)
    partial = response.partial_success
    return Answer(True, False, partial.error_message, getattr(partial, signal.rejected_field))


Sender = Callable[[Running, Signal, bytes], Answer]
both = pytest.mark.parametrize(
    ("send", "transport"), [(send_grpc, "grpc"), (send_http, "http")], ids=["grpc", "http"]
)
every_signal = pytest.mark.parametrize("signal", OPENTELEMETRY)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with running_receiver() as receiver:
        yield receiver


def sample(running: Running, name: str, **labels: str) -> float:
    return running.house.sample(name, receiver="otlp", **labels)


@both
@every_signal
def test_receiver_hands_on_the_bytes_it_got(
    running: Running, send: Sender, transport: str, signal: Signal
) -> None:
    """A clean request goes through unchanged, and is counted by otelcol's names."""
    body = request(signal, NOW, 3, text=f"{transport} {signal}").SerializeToString()
    name = f"otelcol_receiver_accepted_{signal.item}_total"
    before = sample(running, name, transport=transport)
    assert send(running, signal, body) == Answer(True, False, "")
    assert running.consumers[signal].taken[-1] == Telemetry(signal, body, 3)
    assert sample(running, name, transport=transport) - before == 3


@both
def test_receiver_keeps_the_good_and_counts_the_bad(running: Running, send: Sender, transport: str) -> None:
    """Partial success: exact counts, a reason, and the rest handed on."""
    body = request(Signal.TRACES, NOW, 3, bad=2, text=transport).SerializeToString()
    labels = {"otel_signal": "traces", "reason": "invalid_span_id"}
    before = sample(running, "collector_receiver_rejected_items_total", **labels)
    answer = send(running, Signal.TRACES, body)
    assert (answer.accepted, answer.rejected) == (True, 2)
    assert "span_id" in answer.message
    assert running.consumers[Signal.TRACES].taken[-1].items == 3
    assert sample(running, "collector_receiver_rejected_items_total", **labels) - before == 2


@both
def test_receiver_takes_nothing_to_nobody(running: Running, send: Sender, transport: str) -> None:
    """An empty request is a success, and no pipeline hears of it."""
    before = len(running.consumers[Signal.LOGS].taken)
    assert send(running, Signal.LOGS, b"").accepted
    assert len(running.consumers[Signal.LOGS].taken) == before


@both
def test_receiver_takes_the_same_bytes_once(running: Running, send: Sender, transport: str) -> None:
    """A client that missed the answer sends again: acknowledged, told so, not stored twice."""
    body = request(Signal.LOGS, NOW, text=f"again by {transport}").SerializeToString()
    before = len(running.consumers[Signal.LOGS].taken)
    duplicates = sample(running, "collector_receiver_duplicate_requests_total", otel_signal="logs")
    first, second, third = (send(running, Signal.LOGS, body) for _ in range(3))
    assert first == Answer(True, False, "")
    assert second == third
    assert second.accepted
    assert "identical request" in second.message
    assert len(running.consumers[Signal.LOGS].taken) == before + 1
    after = sample(running, "collector_receiver_duplicate_requests_total", otel_signal="logs")
    assert after - duplicates == 2


@both
def test_receiver_takes_the_same_bytes_again_after_a_refusal(send: Sender, transport: str) -> None:
    """Only what was accepted is a duplicate."""
    body = request(Signal.LOGS, NOW).SerializeToString()
    with running_receiver() as running:
        running.consumers[Signal.LOGS].error = RetryableError("full", reason="queue_full")
        assert send(running, Signal.LOGS, body).retryable
        running.consumers[Signal.LOGS].error = None
        assert send(running, Signal.LOGS, body) == Answer(True, False, "")
        assert len(running.consumers[Signal.LOGS].taken) == 1


@both
def test_receiver_takes_duplicates_when_told_to(send: Sender, transport: str) -> None:
    """`duplicate_window: 0` turns it off."""
    body = request(Signal.LOGS, NOW).SerializeToString()
    with running_receiver(duplicate_window=0.0) as running:
        assert [send(running, Signal.LOGS, body) for _ in range(2)] == [Answer(True, False, "")] * 2
        assert len(running.consumers[Signal.LOGS].taken) == 2


@both
def test_receiver_asks_clients_to_come_back_when_the_pipeline_is_full(send: Sender, transport: str) -> None:
    """Retryable, with a delay of 1 to 5 s that differs from client to client."""
    with running_receiver() as running:
        running.consumers[Signal.LOGS].error = RetryableError("the queue is full", reason="queue_full")
        answers = [
            send(running, Signal.LOGS, request(Signal.LOGS, NOW, text=str(number)).SerializeToString())
            for number in range(10)
        ]
        assert {(answer.retryable, answer.message) for answer in answers} == {(True, "the queue is full")}
        delays = [answer.delay_s for answer in answers if answer.delay_s is not None]
        assert len(delays) == 10
        assert all(1 <= delay <= 5 for delay in delays)
        assert len(set(delays)) > 1
        assert sample(running, "otelcol_receiver_refused_log_records_total", transport=transport) == 10
        assert (
            sample(running, "otelcol_receiver_requests_total", transport=transport, outcome="refused") == 10
        )


@both
def test_receiver_tells_clients_to_drop_what_will_never_be_taken(send: Sender, transport: str) -> None:
    """A permanent error of the pipeline is no invitation to come back."""
    with running_receiver() as running:
        running.consumers[Signal.LOGS].error = PermanentError("never", reason="filtered")
        answer = send(running, Signal.LOGS, request(Signal.LOGS, NOW).SerializeToString())
        assert answer == Answer(False, False, "never")


@both
def test_receiver_blames_itself_for_a_bug_once_and_the_request_the_second_time(
    send: Sender, transport: str
) -> None:
    """A bug of ours must not lose good data, and a request that trips over one must not come for ever."""
    with running_receiver() as running:
        running.consumers[Signal.LOGS].error = ZeroDivisionError("secret detail")
        poison = request(Signal.LOGS, NOW, text="poison").SerializeToString()
        first, second = (send(running, Signal.LOGS, poison) for _ in range(2))
        other = send(running, Signal.LOGS, request(Signal.LOGS, NOW, text="other").SerializeToString())
        assert (first.retryable, second.retryable, other.retryable) == (True, False, True)
        assert "secret" not in first.message + second.message
        assert sample(running, "otelcol_receiver_failed_log_records_total", transport=transport) == 3
        [entry, *_] = running.house.log.entries
        assert isinstance(entry["exc_info"], ZeroDivisionError)


@both
def test_receiver_refuses_when_the_byte_budget_is_used_up(send: Sender, transport: str) -> None:
    """Admission: refused for now, and taken when there is room again."""
    body = request(Signal.LOGS, NOW, text="x" * 400_000).SerializeToString()
    with running_receiver(budget=PARSED * len(body)) as running:
        held = PARSED * len(body) - 200_000
        running.house.settings.budget.reserve(held)
        answer = send(running, Signal.LOGS, body)
        assert answer.retryable
        assert "bytes" in answer.message
        running.house.settings.budget.release(held)
        assert send(running, Signal.LOGS, body).accepted
        assert running.house.settings.budget.used == 0


@both
def test_receiver_has_a_request_wait_for_the_byte_budget(send: Sender, transport: str) -> None:
    """A shortage that lasts a moment is not seen by the client; and meanwhile others are served."""
    body = request(Signal.LOGS, NOW, text="x" * 200_000).SerializeToString()
    with (
        running_receiver(
            budget=PARSED * len(body), admission=AdmissionConfig(timeout=Duration(5))
        ) as running,
        ThreadPoolExecutor(1) as pool,
    ):
        budget = running.house.settings.budget
        held = PARSED * len(body) - 100_000
        budget.reserve(held)
        answer = pool.submit(send, running, Signal.LOGS, body)
        wait_for_waiting(running, 1)
        small = request(Signal.LOGS, NOW, text="small").SerializeToString()
        assert send(running, Signal.LOGS, small).accepted
        budget.release(held)
        assert answer.result(20).accepted
        assert budget.used == 0
        labels = {"reason": "in_flight_bytes", "outcome": "admitted"}
        assert sample(running, "collector_receiver_wait_seconds_count", **labels) == 1


@both
def test_receiver_refuses_for_a_full_queue_when_the_wait_is_over(send: Sender, transport: str) -> None:
    """Not sooner; and the items are counted once."""
    body = request(Signal.LOGS, NOW).SerializeToString()
    with running_receiver(admission=AdmissionConfig(timeout=Duration(0.3))) as running:
        running.consumers[Signal.LOGS].error = full_error(1000, 1000, lambda: True)
        began = time.monotonic()
        assert send(running, Signal.LOGS, body).retryable
        assert time.monotonic() - began >= 0.3
        assert sample(running, "otelcol_receiver_refused_log_records_total", transport=transport) == 1
        assert running.house.settings.budget.used == 0


@both
@pytest.mark.parametrize("size", [1_500, 300_000], ids=["loop", "thread"])
def test_receiver_has_requests_wait_for_a_full_queue(send: Sender, transport: str, size: int) -> None:
    """In their turn, and counted as accepted alone."""
    texts = [f"{number}" + "x" * size for number in range(3)]
    bodies = [request(Signal.LOGS, NOW, text=text).SerializeToString() for text in texts]
    with (
        running_receiver(admission=AdmissionConfig(timeout=Duration(5))) as running,
        ThreadPoolExecutor(3) as pool,
    ):
        consumer = running.consumers[Signal.LOGS]
        consumer.error = full_error(1000, 1000, lambda: consumer.error is None)
        answers = []
        for body in bodies:
            answers.append(pool.submit(send, running, Signal.LOGS, body))
            wait_for_waiting(running, len(answers))
        assert not consumer.taken
        consumer.error = None
        assert all(answer.result(20).accepted for answer in answers)
        taken = [data.payload for data in consumer.taken]
        assert (taken if size < 100_000 else sorted(taken)) == bodies
        assert sample(running, "otelcol_receiver_refused_log_records_total", transport=transport) == 0
        labels = {"reason": "queue_full", "outcome": "admitted"}
        assert sample(running, "collector_receiver_wait_seconds_count", **labels) == 3
        assert running.house.settings.budget.used == 0


@both
def test_receiver_gives_the_budget_back_whatever_happens(send: Sender, transport: str) -> None:
    """A leak would refuse everything one day."""
    with running_receiver() as running:
        budget = running.house.settings.budget
        for error in (None, RetryableError("r", reason="r"), PermanentError("p", reason="p"), ValueError()):
            running.consumers[Signal.LOGS].error = error
            for size in (10, 100_000):
                send(running, Signal.LOGS, request(Signal.LOGS, NOW, text="x" * size).SerializeToString())
        send(running, Signal.LOGS, b"\xff\xff\xff")
        eventually(lambda: budget.used == 0, what="giving the budget back")


@both
@every_signal
def test_receiver_says_when_a_signal_has_no_pipeline(send: Sender, transport: str, signal: Signal) -> None:
    """Not retryable, and the message says what to configure."""
    with running_receiver(signals=frozenset(Signal) - {signal}) as running:
        answer = send(running, signal, b"")
        assert (answer.accepted, answer.retryable) == (False, False)
        assert f"no pipeline for {signal.value}" in answer.message


@both
def test_receiver_names_the_option_that_limits_the_size(send: Sender, transport: str) -> None:
    """Counted after inflation."""
    body = request(Signal.LOGS, NOW, text="x" * (1 << 20)).SerializeToString()
    option = {"grpc": "max_recv_msg_size_mib", "http": "max_request_body_size"}[transport]
    with running_receiver(
        grpc={"max_recv_msg_size_mib": 1}, http={"max_request_body_size": 1 << 20}
    ) as running:
        if transport == "grpc":
            answer = send_grpc(running, Signal.LOGS, body, grpc.Compression.Gzip)
        else:
            with RawHttp.to(running.http) as client:
                headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
                spaces = gzip.compress(b"{" + b" " * (1 << 20))
                reply = client.request("POST", "/v1/logs", headers, spaces)
                answer = Answer(False, False, json.loads(reply.body)["message"])
        assert not answer.accepted
        assert not answer.retryable
        assert option in answer.message


@both
def test_receiver_serves_many_at_once(running: Running, send: Sender, transport: str) -> None:
    """A hundred clients, each with its own connection, all get their answer."""
    bodies = [
        request(Signal.METRICS, NOW, 5, text=f"{transport} {number}").SerializeToString()
        for number in range(100)
    ]
    before = len(running.consumers[Signal.METRICS].taken)
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda body: send(running, Signal.METRICS, body), bodies))
    assert {answer.accepted for answer in answers} == {True}
    taken = {data.payload for data in running.consumers[Signal.METRICS].taken[before:]}
    assert taken == set(bodies)


@both
def test_receiver_shutdown_answers_what_is_running(send: Sender, transport: str) -> None:
    """A request that is being taken when the receiver stops gets its answer; new ones are refused."""
    entered, release = threading.Event(), threading.Event()
    body = request(Signal.LOGS, NOW, text="x" * 300_000).SerializeToString()  # not for the event loop
    with running_receiver() as running, ThreadPoolExecutor(2) as clients:
        record = running.consumers[Signal.LOGS]

        def consume(data: Telemetry) -> None:
            entered.set()
            assert release.wait(20)
            record.consume(data)

        running.receiver._consumers[Signal.LOGS] = SlowConsumer(consume)  # type: ignore[index]
        endpoint = running.receiver.endpoints[transport]
        answer = clients.submit(send, running, Signal.LOGS, body)
        assert entered.wait(20)
        stopping = clients.submit(running.receiver.shutdown)
        eventually(lambda: refuses(endpoint), what="refusing new connections")
        release.set()
        assert answer.result(20) == Answer(True, False, "")
        stopping.result(20)
        assert len(record.taken) == 1


def refuses(endpoint: str) -> bool:
    """Whether nobody listens at `endpoint`."""
    try:
        RawHttp.to(endpoint, timeout_s=5.0).close()
    except ConnectionError:
        return True
    return False


@dataclass(frozen=True, slots=True)
class SlowConsumer:
    """A consumer made of a function."""

    body: Callable[[Telemetry], None]

    def consume(self, data: Telemetry, /) -> None:
        """See `Consumer`."""
        self.body(data)
