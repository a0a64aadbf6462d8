"""What is said at start."""

from __future__ import annotations

import pytest

from collector.service.banner import Banner, environment, guarantee

BANNER = Banner(
    listening={"otlp grpc": "127.0.0.1:4317", "otlp http": "127.0.0.1:4318"},
    storing={"sqlite": "/data/collector.db"},
    admin="127.0.0.1:13133",
    guarantee=guarantee(1.0, {"logs": "memory"}),
    environment={
        "grpc": environment("grpc", "127.0.0.1:4317"),
        "http": environment("http", "127.0.0.1:4318"),
    },
)


def test_the_text_has_every_fact_and_lines_to_paste() -> None:
    """On a terminal: what is bound, where data goes, what a 200 means, what to type."""
    text = BANNER.text()
    for fact in (
        "otlp grpc  127.0.0.1:4317",
        "http://127.0.0.1:13133",
        "/data/collector.db",
        "in this process's memory, and is stored within about 1 s",
        "    export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317\n",
        "    export OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n",
        "    export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n",
        "native ",
        "Ctrl-C",
    ):
        assert fact in text


def test_the_fields_have_the_same_facts() -> None:
    """Off a terminal: one log line."""
    fields = BANNER.fields()
    assert fields["listening"] == {"otlp grpc": "127.0.0.1:4317", "otlp http": "127.0.0.1:4318"}
    assert fields["storing"] == {"sqlite": "/data/collector.db"}
    assert fields["guarantee"] == guarantee(1.0, {"logs": "memory"})


@pytest.mark.parametrize(
    ("bound", "url"),
    [
        ("0.0.0.0:4317", "http://127.0.0.1:4317"),
        ("[::]:4317", "http://[::1]:4317"),
        (":4317", "http://127.0.0.1:4317"),
        ("10.1.2.3:4317", "http://10.1.2.3:4317"),
        ("localhost:4317", "http://localhost:4317"),
    ],
)
def test_the_address_to_paste_can_be_connected_to(bound: str, url: str) -> None:
    """0.0.0.0 is where one listens, not where one connects."""
    assert environment("grpc", bound)["OTEL_EXPORTER_OTLP_ENDPOINT"] == url


def test_what_a_200_means_depends_on_the_queue() -> None:
    """In memory is not on disk, and is not said to be."""
    assert "memory" in guarantee(1.0, {"logs": "memory"})
    assert "crash" in guarantee(1.0, {"logs": "memory"})
    assert "on this disk" in guarantee(0.2, {"logs": "disk", "traces": "disk"})
    assert "at once" in guarantee(0.0, {"logs": "disk"})
    assert "is stored where" in guarantee(1.0, {"logs": "stored"})
    both = guarantee(1.0, {"logs": "disk", "traces": "stored", "metrics": "disk"})
    assert "logs, metrics: your data is on this disk" in both
    assert "traces: your data is stored" in both
