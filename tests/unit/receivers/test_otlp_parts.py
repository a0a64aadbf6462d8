"""The receiver's small parts, without sockets."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.model.errors import RetryableError
from collector.model.signal import OPENTELEMETRY, Signal
from collector.pipeline.admission import ByteBudget
from collector.receivers.otlp.bodies import inflate_within, sniff_encoding
from collector.receivers.otlp.deadlines import Deadlines
from collector.receivers.otlp.http_routes import Routes
from collector.receivers.otlp.repeats import Repeats, fingerprint
from collector.wire.errors import TooLargeError
from tests.support.components import make_house
from tests.support.fake_clock import FakeClock
from tests.support.otlp import request

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


@given(st.sampled_from(OPENTELEMETRY), st.integers(0, 5), st.integers(1, 2**62))
def test_sniff_encoding_tells_compressed_from_plain(signal: Signal, items: int, time: int) -> None:
    """No OTLP request looks compressed, and what is compressed does."""
    plain = request(signal, time, items).SerializeToString()
    assert sniff_encoding(plain) == ""
    for level in range(10):
        assert sniff_encoding(zlib.compress(plain, level)) == "deflate"
        assert sniff_encoding(gzip.compress(plain, level)) == "gzip"


def test_sniff_encoding_of_nothing_is_none() -> None:
    """An empty message is an empty request."""
    assert sniff_encoding(b"") == ""


def test_inflate_within_reserves_what_comes_out() -> None:
    """The budget holds the raw body and the inflated one until the answer."""
    budget = ByteBudget(10_000_000)
    body = gzip.compress(b"x" * 1_000_000)
    with budget.reservation() as reservation:
        assert len(inflate_within("gzip", body, 1_000_000, reservation)) == 1_000_000
        assert budget.used == 1_000_000 + len(body)
    assert budget.used == 0


def test_inflate_within_refuses_for_now_when_the_budget_is_used_up() -> None:
    """A small body that becomes a large one is stopped on the way."""
    budget = ByteBudget(500_000)
    budget.reserve(1000)
    with budget.reservation() as reservation, pytest.raises(RetryableError):
        inflate_within("gzip", gzip.compress(b"x" * 1_000_000), 64_000_000, reservation)
    assert budget.used == 1000


def test_inflate_within_admits_a_body_larger_than_the_budget_when_it_is_alone() -> None:
    """Or it could never be taken."""
    with ByteBudget(1000).reservation() as reservation:
        assert len(inflate_within("gzip", gzip.compress(b"x" * 90_000), 100_000, reservation)) == 90_000


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
    key = fingerprint(Signal.LOGS, b"body")
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
    assert len({fingerprint(signal, b"") for signal in Signal}) == len(Signal)


def test_deadlines_act_when_a_block_takes_too_long() -> None:
    """Not before, and not for a block that has ended."""
    clock = FakeClock()
    house = make_house("otlp", "receiver")
    deadlines = Deadlines(clock, 10.0)
    deadlines.start(house.settings.spawn, "deadlines")
    cut = threading.Event()
    never = threading.Event()
    with deadlines.within(never.set):
        clock.advance(9.0)
    with deadlines.within(cut.set):
        clock.advance(10.5)
        assert cut.wait(20)
    assert not never.is_set()
    deadlines.stop()
    assert not house.threads[0].is_alive()


def test_deadlines_of_zero_are_none() -> None:
    """0 turns the timeout off: not even a thread is needed."""
    house = make_house("otlp", "receiver")
    deadlines = Deadlines(FakeClock(), 0.0)
    deadlines.start(house.settings.spawn, "deadlines")
    deadlines.stop()
    assert house.threads == []
