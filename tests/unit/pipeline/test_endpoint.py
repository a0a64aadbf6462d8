"""Reading and binding `host:port`."""

from __future__ import annotations

import socket

import pytest

from collector.pipeline.component import StartError
from collector.pipeline.endpoint import Endpoint, bind, port_holder


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:4317", "127.0.0.1", 4317),
        ("localhost:0", "localhost", 0),
        ("[::1]:4318", "::1", 4318),
        (":4318", "", 4318),
    ],
)
def test_endpoint_parses_and_prints(text: str, host: str, port: int) -> None:
    """What is read is written in the same way."""
    endpoint = Endpoint.parse(text)
    assert (endpoint.host, endpoint.port) == (host, port)
    assert str(endpoint) == text


@pytest.mark.parametrize(
    "text", ["", "4317", "127.0.0.1", "::1:4317", "http://127.0.0.1:4317", "host:port", "a:-1", "a:70000"]
)
def test_endpoint_refuses_anything_else(text: str) -> None:
    """A URL or a missing port is found when the configuration is read, not when the daemon starts."""
    with pytest.raises(ValueError, match="is not an endpoint"):
        Endpoint.parse(text)


def test_bind_gives_all_addresses_of_a_name_the_same_port() -> None:
    """`localhost` may be 127.0.0.1 and ::1; a client may try either."""
    sockets = bind(Endpoint("localhost", 0))
    try:
        assert len({bound.getsockname()[1] for bound in sockets}) == 1
    finally:
        for bound in sockets:
            bound.close()


def test_bind_names_an_address_that_is_not_here() -> None:
    """192.0.2.0/24 is nobody's (RFC 5737)."""
    with pytest.raises(StartError, match=r"no address '192\.0\.2\.1'"):
        bind(Endpoint("192.0.2.1", 0))


def test_bind_names_a_host_that_is_unknown() -> None:
    """.invalid never resolves (RFC 2606)."""
    with pytest.raises(StartError, match=r"cannot listen at collector\.invalid:0"):
        bind(Endpoint("collector.invalid", 0))


def test_port_holder_finds_this_process() -> None:
    """The message of a port in use can say who has it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert "process" in (port_holder(listening.getsockname()[1]) or "")


def test_port_holder_finds_nobody_at_a_free_port() -> None:
    """A port that was just closed is nobody's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert port_holder(port) is None
