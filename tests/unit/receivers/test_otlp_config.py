"""The receiver's options, as they are read from a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from collector.config.types import Duration
from collector.receivers import otlp
from collector.receivers.otlp.config import (
    GrpcConfig,
    HttpConfig,
    OtlpReceiverConfig,
    ProtocolsConfig,
)
from tests.unit.config.reading import good


def findings(config: GrpcConfig | HttpConfig | ProtocolsConfig) -> list[tuple[str, str]]:
    return [(finding.key, finding.message) for finding in config.validate()]


def test_defaults_are_valid_and_safe() -> None:
    """Loopback, 64 MiB, and no timeout that is off."""
    http, grpc = HttpConfig(), GrpcConfig()
    assert findings(http) == []
    assert (grpc.endpoint, http.endpoint) == ("127.0.0.1:4317", "127.0.0.1:4318")
    assert grpc.request_bytes_max == http.max_request_body_size == 64 * 1024 * 1024
    assert min(http.read_header_timeout, http.read_timeout, http.write_timeout, http.idle_timeout) > 0
    assert grpc.read_header_timeout == http.read_header_timeout


def test_protocols_need_one() -> None:
    """A receiver that listens to nothing is a mistake."""
    assert "at least one of 'grpc' and 'http'" in findings(ProtocolsConfig())[0][1]
    assert findings(ProtocolsConfig(grpc=GrpcConfig())) == []


@pytest.mark.parametrize("key", ["read_header_timeout", "read_timeout", "write_timeout", "idle_timeout"])
def test_timeouts_cannot_be_turned_off(key: str) -> None:
    """Zero, otelcol's default, is for ever; the message says so to who copied it."""
    options: dict[str, Any] = {key: Duration(0.0)}
    assert [(found, "for ever" in message) for found, message in findings(HttpConfig(**options))] == [
        (key, True)
    ]


def test_grpc_waits_for_no_header_for_ever() -> None:
    """As over HTTP. A limit of time for whole requests may be turned off there."""
    none = Duration(0.0)
    [(key, message)] = findings(GrpcConfig(read_header_timeout=none, read_timeout=none))
    assert key == "read_header_timeout"
    assert "for ever" in message


def test_readme_shows_options_that_exist() -> None:
    """The example of the README is read without a finding."""
    readme = (Path(otlp.__path__[0]) / "README.md").read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", readme, flags=re.DOTALL)
    section = example.removeprefix("receivers:\n  otlp:\n")
    assert good(section, OtlpReceiverConfig).protocols.http == HttpConfig()


@pytest.mark.parametrize("name", ["snappy", "lz4", "x-snappy-framed"])
def test_compression_of_otelcol_that_is_not_built_is_named_as_such(name: str) -> None:
    """A file copied from otelcol gets to know what is missing and why it hardly matters."""
    [(key, message)] = findings(HttpConfig(compression_algorithms=("gzip", name)))
    assert key == "compression_algorithms"
    assert "otelcol's and not built here" in message


def test_compression_that_nobody_knows_is_refused() -> None:
    """With the list of those that are known."""
    assert "known are '', 'gzip'" in findings(HttpConfig(compression_algorithms=("brotli",)))[0][1]


@pytest.mark.parametrize("path", ["v1/traces", "/v1/traces?x", "/a b", "", "/é", "/%41"])
def test_paths_must_be_paths(path: str) -> None:
    """What could never be matched is found when the file is read."""
    assert findings(HttpConfig(traces_url_path=path))[0][0] == "traces_url_path"


def test_paths_must_differ() -> None:
    """One path cannot be two signals'."""
    [(key, message)] = findings(HttpConfig(logs_url_path="/v1/traces"))
    assert (key, message) == ("logs_url_path", "'/v1/traces' is the path of traces already")


@pytest.mark.parametrize(("name", "value"), [("a b", "x"), ("", "x"), ("x", "a\r\nb"), ("x", "é")])
def test_response_headers_must_be_headers(name: str, value: str) -> None:
    """A line break in a header would be a second header."""
    assert findings(HttpConfig(response_headers={name: value}))[0][0] == "response_headers"
