"""Ids, by vectors: any other writer, in any language, must compute the same."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector.storage import identity
from tests.support.samples import attribute, every_attribute


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def _text(text: str) -> bytes:
    return _u32(len(text.encode())) + text.encode()


def test_resource_id_is_the_hash_of_the_documented_bytes() -> None:
    """Written out by hand from the documentation, every kind of value once."""
    resource = Resource(
        attributes=[
            attribute("b", "ü"),
            attribute("a", True),
            attribute("i", -2),
            attribute("d", 1.5),
            attribute("n", float("nan")),
            attribute("l", [None, False]),
            attribute("m", {"y": b"\xff", "x": 0}),
        ],
        dropped_attributes_count=9,
    )
    resource.entity_refs.add(schema_url="u", type="t", id_keys=["k"], description_keys=["p", "q"])
    content = b"".join(
        [
            b"resource\0",
            _u32(7),
            _text("a") + b"\x02\x01",
            _text("b") + b"\x01" + _text("ü"),
            _text("d") + b"\x04" + bytes.fromhex("000000000000f83f"),
            _text("i") + b"\x03" + b"\xfe" + b"\xff" * 7,
            _text("l") + b"\x05" + _u32(2) + b"\x00" + b"\x02\x00",
            _text("m")
            + b"\x06"
            + _u32(2)
            + _text("x")
            + b"\x03"
            + bytes(8)
            + _text("y")
            + b"\x07"
            + _u32(1)
            + b"\xff",
            _text("n") + b"\x04" + bytes.fromhex("000000000000f87f"),
            _u32(9),
            _u32(1) + _text("u") + _text("t") + _u32(1) + _text("k") + _u32(2) + _text("p") + _text("q"),
            _text("https://s"),
        ]
    )
    assert identity.resource_id(resource, "https://s") == blake2b(content, digest_size=16).digest()


def test_scope_id_is_the_hash_of_the_documented_bytes() -> None:
    """As for resources."""
    scope = InstrumentationScope(
        name="n", version="1", attributes=[attribute("a", 1)], dropped_attributes_count=2
    )
    content = (
        b"scope\0"
        + _text("n")
        + _text("1")
        + _u32(1)
        + _text("a")
        + b"\x03\x01"
        + bytes(7)
        + _u32(2)
        + _text("s")
    )
    assert identity.scope_id(scope, "s") == blake2b(content, digest_size=16).digest()


def test_stream_and_series_are_hashes_of_the_documented_bytes() -> None:
    """The stream identifies; the series has description and metadata as well."""
    resource, scope = b"r" * 16, b"s" * 16
    prefix = identity.stream_prefix("m", "sum", "ms", 2, True)
    content = b"stream\0" + _text("m") + _text("sum") + _text("ms") + b"\x02\0\0\0" + b"\x01"
    assert prefix == content
    stream = identity.stream_id(prefix, [attribute("a", "1")], resource, scope)
    content += _u32(1) + _text("a") + b"\x01" + _text("1") + resource + scope
    assert stream == blake2b(content, digest_size=16).digest()
    digest = identity.series_digest(stream, "what", [attribute("k", 1.0)])
    content = (
        b"series\0"
        + stream
        + _text("what")
        + _u32(1)
        + _text("k")
        + b"\x04"
        + bytes.fromhex("000000000000f03f")
    )
    assert digest == blake2b(content, digest_size=16).digest()
    first = identity.series_id(digest)
    assert first.to_bytes(8, "little", signed=True) == digest[:8]
    second = blake2b(digest + _u32(1), digest_size=16).digest()[:8]
    assert identity.series_id(digest, 1) == int.from_bytes(second, "little", signed=True)


def test_golden_ids() -> None:
    """These must never change: they are in databases."""
    resource = Resource(attributes=every_attribute(), dropped_attributes_count=1)
    assert identity.resource_id(Resource(), "").hex() == "12f10610aa8e0c360305101d3ee0b2d0"
    assert identity.resource_id(resource, "u").hex() == "2c30a62ce7b3c6a7de4a39e16af3850c"
    assert identity.scope_id(InstrumentationScope(), "").hex() == "3f9a84019ae62758ab80cd1342d48e43"
    stream = identity.stream_id(
        identity.stream_prefix("m", "gauge", "", None, None), [], bytes(16), bytes(16)
    )
    assert stream.hex() == "1e7ae5e21a9021704a5475741bfd1de9"
    digest = identity.series_digest(stream, "", [])
    assert digest.hex() == "39c4a3cf7d29bfa0edc0afe33eb3be8b"
    assert [identity.series_id(digest, attempt) for attempt in range(3)] == [
        -6863721686758079431,
        -2793397040031779653,
        2409034804387624730,
    ]


def test_the_order_of_attributes_does_not_matter() -> None:
    """At any level."""
    one = Resource(attributes=[attribute("a", {"x": 1, "y": 2}), attribute("b", 1)])
    other = Resource(attributes=[attribute("b", 1), attribute("a", {"y": 2, "x": 1})])
    assert identity.resource_id(one, "") == identity.resource_id(other, "")


def test_everything_else_does() -> None:
    """Types, order in arrays, what belongs to which key, which list an entry is in."""
    values: tuple[Any, ...] = (
        1, 1.0, "1", True, b"1", None, [1], [], {}, "", 0.0, -0.0, [1, 2], [2, 1], [[1], 2], [[1, 2]],
    )  # fmt: skip
    contents = [
        Resource(),
        Resource(dropped_attributes_count=1),
        *(Resource(attributes=[attribute("a", value)]) for value in values),
        Resource(attributes=[attribute("a", ""), attribute("", "a")]),
        Resource(attributes=[attribute("a", None), attribute("b", None)]),
        Resource(attributes=[attribute("ab", None)]),
    ]
    for keys in ({"id_keys": ["a", "b"]}, {"id_keys": ["a"], "description_keys": ["b"]}, {"id_keys": ["ab"]}):
        resource = Resource()
        resource.entity_refs.add(**keys)
        contents.append(resource)
    ids = {identity.resource_id(content, "") for content in contents}
    ids.add(identity.resource_id(Resource(), "a"))
    assert len(contents) + 1 == len(ids)
