"""What a config class says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from collector.config.describe import describe, summary, unsupported
from collector.config.option import option
from tests.unit.config.factories import BatchConfig, OtlpConfig, ServerConfig, StoreConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class FileConfig(BatchConfig):
    """A batch with a path."""

    path: str = option(doc="Where to.")


def test_every_option_is_described_with_type_default_and_bounds() -> None:
    """In the spelling of the file."""
    described = {option.name: option.as_data() for option in describe(BatchConfig)}
    assert described["size"] == {
        "type": "integer",
        "default": 8192,
        "doc": "Items that make a batch.",
        "minimum": 1,
        "maximum": 100_000,
        "aliases": ["batch_size"],
    }
    assert described["timeout"]["default"] == "200ms"
    assert described["timeout"]["minimum"] == "1ms"


def test_types_have_names_that_people_know() -> None:
    """Not Python's."""
    types = {option.name: option.type for option in describe(StoreConfig)}
    assert types == {
        "connection_string": "connection string",
        "password": "secret",
        "path": "path",
        "enabled": "true or false",
        "color": "red | green",
        "retention": "map of traces | metrics to duration",
        "labels": "map of text to text",
        "names": "list of text",
        "limit": "integer",
        "extra": "anything",
        "word": "text",
    }


def test_sections_are_described_with_what_is_in_them() -> None:
    """And with what of otelcol's is not taken."""
    (protocols,) = describe(OtlpConfig)
    assert (protocols.type, protocols.required) == ("section", True)
    grpc = protocols.options[0]
    assert (grpc.name, grpc.type) == ("grpc", "section, off unless named")
    assert [option.name for option in grpc.options] == ["endpoint", "size_max"]
    assert grpc.unsupported == unsupported(ServerConfig)
    assert summary(OtlpConfig) == "A receiver."


def test_options_of_its_own_come_before_inherited_ones() -> None:
    """What tells a component from the others is read first."""
    assert [option.name for option in describe(FileConfig)] == [
        "path",
        "size",
        "size_max",
        "timeout",
        "ratio",
    ]


def test_bounds_are_spelt_in_the_type_of_the_option() -> None:
    """Sizes as sizes."""
    sizes = {option.name: option.minimum for option in describe(ServerConfig)}
    assert sizes == {"endpoint": None, "size_max": "1KiB"}
