"""The receiver's small parts, without sockets."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable

import pytest
import zstandard

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.pipeline.admission import ByteBudget
from collector.receivers.otlp.bodies import inflate_within, inflated_at_once
from collector.receivers.otlp.http_routes import Routes
from collector.receivers.otlp.repeats import Repeats, fingerprint
from collector.wire.errors import MalformedError, TooLargeError, TooMuchMemoryError
from collector.wire.scan import ScanLimits, scan_json, scan_protobuf
from tests.support.fake_clock import FakeClock

PATHS = {signal: signal.http_path for signal in Signal}


def routes(*signals: Signal) -> Routes:
    return Routes(PATHS, signals or tuple(Signal), "otlp")


@pytest.mark.parametrize("signal", Signal)
def test_routes_find_the_signal_of_its_path(signal: Signal) -> None:
    """The three paths of the specification."""
    assert routes().find(signal.http_path) is signal


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/trace", "/v1/traces"),
        ("/v1/traces/", "/v1/traces"),
        ("//v1/traces", "/v1/traces"),
        ("/V1/Metrics", "/v1/metrics"),
        ("/v1/log", "/v1/logs"),
        ("/logs", "/v1/logs"),
        ("/otlp/v1/metrics", "/v1/metrics"),
        ("/v1/v1/traces", "/v1/traces"),
    ],
)
def test_routes_guess_what_was_meant(path: str, meant: str) -> None:
    """The usual slips of OTEL_EXPORTER_OTLP_ENDPOINT get an answer that says what to write."""
    assert routes().why_not(path).endswith(f"did you mean {meant}?")


def test_routes_list_the_paths_when_nothing_is_near() -> None:
    """Also for a path that is long, which is not repeated in full."""
    assert routes().why_not("/").endswith("by POST to /v1/traces, /v1/metrics, /v1/logs, /v1/costs")
    assert len(routes().why_not("/" + "x" * 10_000)) < 400


def test_routes_say_that_a_signal_has_no_pipeline() -> None:
    """A known path without a pipeline is a matter of configuration, and the answer says of which."""
    only_logs = routes(Signal.LOGS)
    assert only_logs.find("/v1/traces") is None
    assert "no pipeline for traces" in only_logs.why_not("/v1/traces")


@pytest.mark.parametrize("path", ["/v1development/profiles", "/v1/profiles"])
def test_routes_say_that_profiles_are_not_supported(path: str) -> None:
    """Both spellings that are about."""
    assert routes().why_not(path).startswith("profiles are not supported")


def test_inflated_at_once_takes_what_stays_small() -> None:
    """A bomb and a long body are left to a worker."""
    plain = b"x" * 1000
    with ByteBudget(1 << 30).reservation() as reservation:
        for coding, body in (("gzip", gzip.compress(plain)), ("zstd", zstandard.compress(plain))):
            assert inflated_at_once(coding, body, 1000, reservation) == plain
            assert reservation.size >= 1000
            assert inflated_at_once(coding, body, 999, reservation) is None
        assert inflated_at_once("gzip", bytes(20_000), 100_000, reservation) is None
        with pytest.raises(MalformedError):
            inflated_at_once("gzip", b"\x1f\x8bnot gzip", 1000, reservation)


def test_reservation_follows_what_has_arrived() -> None:
    """Who announces much and sends nothing holds little; who cannot fit is told before sending."""
    budget = ByteBudget(10_000_000)
    with budget.reservation() as first, budget.reservation() as second:
        first.expect(0, 9_000_000)
        assert first.size < 100_000
        second.expect(1_000_000, 9_000_000)
        assert 1_000_000 <= second.size <= 5_000_000
        with pytest.raises(RetryableError):
            first.expect(10, 9_000_000)
        second.expect(9_000_000, 9_000_000)
        assert second.size == 9_000_000
    assert budget.used == 0


def test_inflate_within_reserves_what_comes_out() -> None:
    """The budget holds the raw body and the inflated one until the answer."""
    budget = ByteBudget(10_000_000)
    body = gzip.compress(b"x" * 1_000_000)
    with budget.reservation() as reservation:
        assert len(inflate_within("gzip", body, 1_000_000, reservation)) == 1_000_000
        assert budget.used == 1_000_000 + len(body)
    assert budget.used == 0


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize(
    ("plain", "json"), [(bytes(9_000_000), False), (b"\x07" * 9_000_000, False), (b"[" * 9_000_000, True)]
)
def test_inflate_within_stops_at_what_cannot_be_a_request(encoding: str, plain: bytes, json: bool) -> None:
    """What is left is enough for the scan to refuse it; and costs next to nothing."""
    codecs: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstandard.compress,
    }
    with ByteBudget(20_000_000).reservation() as reservation:
        whole = inflate_within(encoding, codecs[encoding](plain), 64_000_000, reservation, json=json)
        limits = ScanLimits(now_unix_nano=FakeClock().unix_nano(), past_ns=0, future_ns=0)
        assert reservation.size < 10_000_000
        with pytest.raises(MalformedError):
            (scan_json if json else scan_protobuf)(Signal.LOGS, whole, limits)


def test_inflate_within_leaves_a_core_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what takes long there are no more at once than there are cores beside one. What is quick does not wait."""
    free = threading.BoundedSemaphore(1)
    monkeypatch.setattr("collector.receivers.otlp.bodies._CORES", free)
    budget = ByteBudget(1 << 30)
    done: list[int] = []

    def inflate(size: int) -> None:
        with budget.reservation() as reservation:
            done.append(len(inflate_within("gzip", gzip.compress(b"x" * size), 64_000_000, reservation)))

    free.acquire()
    waiting = threading.Thread(target=inflate, args=(2_000_000,))
    waiting.start()
    inflate(1_000_000)
    waiting.join(0.3)
    assert done == [1_000_000]
    free.release()
    waiting.join(20)
    assert done == [1_000_000, 2_000_000]
    free.acquire(timeout=5)


def test_inflate_within_refuses_for_now_when_the_budget_is_used_up() -> None:
    """A small body that becomes a large one is stopped on the way."""
    budget = ByteBudget(2_000_000)
    budget.reserve(1_500_000)
    with budget.reservation() as reservation, pytest.raises(RetryableError):
        inflate_within("gzip", gzip.compress(b"x" * 1_000_000), 64_000_000, reservation)
    assert budget.used == 1_500_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_inflate_within_refuses_for_ever_what_never_has_room(encoding: str) -> None:
    """Or the client would come back without end."""
    codecs: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstandard.compress,
    }
    compress = codecs[encoding]
    budget = ByteBudget(5_000_000)
    with budget.reservation() as reservation, pytest.raises(TooMuchMemoryError, match="in_flight_size_max"):
        inflate_within(encoding, compress(b"x" * 9_000_000), 64_000_000, reservation)
    assert budget.used == 0


@pytest.mark.parametrize("size", [10, 100_000, 64 * 1024, 64 * 1024 + 1])
@pytest.mark.parametrize("less", [0, 5, 64 * 1024, 70_000])
def test_a_reservation_gives_back_a_part(size: int, less: int) -> None:
    """Small requests and large ones are counted apart: what changes sides is counted once."""
    budget = ByteBudget(10_000_000)
    with budget.reservation() as reservation:
        reservation.grow_to(size)
        reservation.shrink_to(less)
        assert budget.used == reservation.size == min(size, less)
        reservation.grow_to(200_000)
        assert budget.used == 200_000
    assert budget.used == 0


@pytest.mark.parametrize("encoding", ["gzip", "deflate", ""])
def test_inflate_within_refuses_for_ever_what_is_over_the_limit(encoding: str) -> None:
    """One byte too many is too many."""
    codecs: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "": bytes}
    compress = codecs[encoding]
    with ByteBudget(1 << 30).reservation() as reservation:
        assert inflate_within(encoding, compress(b"x" * 1000), 1000, reservation) == b"x" * 1000
        with pytest.raises(TooLargeError):
            inflate_within(encoding, compress(b"x" * 1001), 1000, reservation)


def test_repeats_know_a_request_within_the_window() -> None:
    """And forget it afterwards."""
    clock = FakeClock()
    repeats = Repeats(clock, 60.0)
    key = fingerprint(Signal.LOGS, b"body", json=False)
    assert not repeats.known(key)
    repeats.note(key)
    clock.advance(60.0)
    assert repeats.known(key)
    clock.advance(0.1)
    assert not repeats.known(key)


def test_repeats_remember_a_bounded_number() -> None:
    """The oldest make room."""
    repeats = Repeats(FakeClock(), 60.0)
    for number in range(5000):
        repeats.note(number.to_bytes(16, "big"))
    assert len(repeats._noted) == 4096
    assert not repeats.known((0).to_bytes(16, "big"))
    assert repeats.known((4999).to_bytes(16, "big"))


def test_fingerprint_tells_signals_apart() -> None:
    """An empty request of one signal is not that of another."""
    assert len(
        {fingerprint(signal, b"", json=json) for signal in Signal for json in (True, False)}
    ) == 2 * len(Signal)
