"""A client whose request waits for room is made to wait: its bytes stay in the kernel's buffers, and with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pytest

from collector.config.types import Duration
from collector.model.signal import Signal
from collector.receivers.otlp.config import AdmissionConfig
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.otlp import request
from tests.support.raw_http import RawHttp
from tests.support.receiver import Running, running_receiver

NOW = FakeClock().unix_nano()
MIB = 1024 * 1024
HEAD = b"POST /v1/logs HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-protobuf\r\n"
# Enough for a body of 40 MiB also where nothing is compiled, and the reference has to parse it.
_BUDGET = 240 * MIB
# What the kernel keeps of a connection on both sides, at most (tcp_wmem and tcp_rmem of Linux).
_KERNEL_BYTES = 12 * MIB


class Sender:
    """Sends in a thread of its own, since it is held up. `sent`: bytes that the kernel has taken."""

    def __init__(self, client: RawHttp, pieces: Iterable[bytes]) -> None:
        self.sent = 0
        self._client = client
        self._pieces = pieces
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for piece in self._pieces:
            self._client.send(piece)
            self.sent += len(piece)

    def stands_still(self) -> int:
        """Wait until nothing more is taken; return how much was."""
        before = -1
        while self.sent != before:
            before = self.sent
            time.sleep(0.3)
        return self.sent

    def finish(self) -> None:
        """Wait until all is taken."""
        self._thread.join(20)
        assert not self._thread.is_alive()


def pieces_of(body: bytes, *, chunked: bool) -> list[bytes]:
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    if not chunked:
        return [HEAD + b"Content-Length: %d\r\n\r\n" % len(body), *pieces]
    framed = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    return [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *framed, b"0\r\n\r\n"]


def waiting(running: Running) -> float:
    return running.house.sample("collector_receiver_waiting_requests", receiver="otlp")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_that_waits_for_room_is_not_read(chunked: bool) -> None:
    """40 MiB are not sent until there is room for them; then all of it is taken, in one piece."""
    body = request(Signal.LOGS, NOW, text="x" * (40 * MIB)).SerializeToString()
    with (
        running_receiver(budget=_BUDGET, admission=AdmissionConfig(timeout=Duration(5))) as running,
        RawHttp.to(running.http) as client,
    ):
        budget = running.house.settings.budget
        budget.reserve(_BUDGET - 100_000)
        sender = Sender(client, pieces_of(body, chunked=chunked))
        eventually(lambda: waiting(running) == 1, what="a request that waits")
        assert sender.stands_still() < _KERNEL_BYTES
        with RawHttp.to(running.http) as other:
            small = request(Signal.LOGS, NOW, text="small").SerializeToString()
            headers = {"Content-Type": "application/x-protobuf"}
            assert other.request("POST", "/v1/logs", headers, small).status == 200
        budget.release(_BUDGET - 100_000)
        assert client.read_response().status == 200
        sender.finish()
        assert running.consumers[Signal.LOGS].taken[-1].payload == body
        assert budget.used == 0


def test_a_body_that_has_waited_too_long_is_refused_for_now() -> None:
    """With the connection still in order, once the client has sent what nobody wants."""
    body = request(Signal.LOGS, NOW, text="x" * (40 * MIB)).SerializeToString()
    with (
        running_receiver(budget=_BUDGET, admission=AdmissionConfig(timeout=Duration(0.3))) as running,
        RawHttp.to(running.http) as client,
    ):
        budget = running.house.settings.budget
        budget.reserve(_BUDGET - 100_000)
        sender = Sender(client, pieces_of(body, chunked=True))
        response = client.read_response()
        assert (response.status, 1 <= int(response.headers["retry-after"]) <= 5) == (503, True)
        sender.finish()
        budget.release(_BUDGET - 100_000)
        sender = Sender(client, pieces_of(body, chunked=False))
        assert client.read_response().status == 200
        sender.finish()
