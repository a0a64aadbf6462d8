"""Bounded inflation of request bodies."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from collector.wire.compression import ENCODINGS, UnsupportedEncodingError, inflate, inflater, working_memory
from collector.wire.errors import MalformedError, TooLargeError

MIB = 1024 * 1024
ROOT = Path(__file__).parents[3]

# Incompressible, so that compressed bytes are spread over many parts.
BODY = random.Random(1).randbytes(200_000) + b"tail" * 1000

CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zlib": zlib.compress,
    "zstd": lambda body: zstandard.ZstdCompressor().compress(body),
}
each_codec = pytest.mark.parametrize("name", CODECS)


@each_codec
def test_inflate_returns_the_body(name: str) -> None:
    """Every codec, in any case of letters."""
    assert inflate(name.upper(), CODECS[name](BODY), MIB) == BODY


@pytest.mark.parametrize("name", ["", "identity"])
def test_inflate_leaves_an_identity_body_alone(name: str) -> None:
    """Not even copied."""
    assert inflate(name, BODY, MIB) is BODY


@each_codec
@pytest.mark.parametrize("part", [1, 7, 1000, 65536])
def test_inflater_takes_the_body_in_parts(name: str, part: int) -> None:
    """As it arrives from the network: one byte at a time is slow but right."""
    body = BODY[:3000] if part == 1 else BODY
    compressed = CODECS[name](body)
    stream = inflater(name, MIB)
    for start in range(0, len(compressed), part):
        stream.feed(compressed[start : start + part])
    assert stream.finish() == body


@each_codec
@pytest.mark.parametrize(("excess", "fits"), [(-1, True), (0, True), (1, False)])
def test_inflate_counts_to_the_byte(name: str, excess: int, fits: bool) -> None:
    """A body of exactly the limit is taken, one byte more is not."""
    body = bytes(5000 + excess)
    if fits:
        assert inflate(name, CODECS[name](body), 5000) == body
    else:
        with pytest.raises(TooLargeError) as caught:
            inflate(name, CODECS[name](body), 5000)
        assert caught.value.reason == "too_large"


@each_codec
def test_inflate_stops_a_bomb_early(name: str, tmp_path: Path) -> None:
    """256 MiB out of some kilobytes: memory stays near the limit."""
    # In a process of its own: tracemalloc must not be started while other tests' threads run (CPython gh-128679).
    bomb = tmp_path / "bomb"
    bomb.write_bytes(CODECS[name](bytes(256 * MIB)))
    result = subprocess.run(
        [sys.executable, "-c", _PEAK, name, bomb], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 0 < int(result.stdout) < 10 * MIB


_PEAK = """
import pathlib, sys, tracemalloc
from collector.wire.compression import inflate
from collector.wire.errors import TooLargeError

bomb = pathlib.Path(sys.argv[2]).read_bytes()
tracemalloc.start()
try:
    inflate(sys.argv[1], bomb, 1024 * 1024)
except TooLargeError:
    print(tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.parametrize("name", ["", "gzip"])
def test_inflate_bounds_what_is_sent_as_well(name: str) -> None:
    """A body that inflates to nothing, for ever, is too large too."""
    stream = inflater(name, 1000)
    with pytest.raises(TooLargeError):
        stream.feed(gzip.compress(b"") * 100)


@each_codec
@pytest.mark.parametrize("missing", [1, 4, 1000])
def test_inflate_refuses_a_truncated_body(name: str, missing: int) -> None:
    """Also when only the checksum is missing (zstd writes none by default, so there it is the last block)."""
    with pytest.raises(MalformedError):
        inflate(name, CODECS[name](BODY)[:-missing], MIB)


@each_codec
def test_inflate_refuses_what_is_not_compressed(name: str) -> None:
    """A header that lies."""
    with pytest.raises(MalformedError) as caught:
        inflate(name, b"\x0a\x00 plain protobuf", MIB)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_inflate_refuses_a_wrong_checksum(name: str) -> None:
    """One bit in the trailer."""
    compressed = bytearray(CODECS[name](BODY))
    compressed[-5] ^= 1
    with pytest.raises(MalformedError):
        inflate(name, bytes(compressed), MIB)


@each_codec
def test_inflate_joins_concatenated_members(name: str) -> None:
    """RFC 1952 and RFC 8878 allow several; for zlib it costs nothing."""
    assert inflate(name, CODECS[name](b"one ") + CODECS[name](b"two"), MIB) == b"one two"


def test_inflate_refuses_a_thousand_members() -> None:
    """Each would copy the rest of the body."""
    with pytest.raises(MalformedError, match="more than 1000"):
        inflate("gzip", gzip.compress(b"") * 1001, MIB)


@each_codec
def test_inflate_refuses_garbage_behind_the_end(name: str) -> None:
    """It would be dropped in silence otherwise."""
    with pytest.raises(MalformedError):
        inflate(name, CODECS[name](b"body") + b"garbage, long enough to be a header", MIB)


def test_inflate_skips_skippable_zstd_frames() -> None:
    """RFC 8878, 3.1.2."""
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    assert inflate("zstd", skippable + CODECS["zstd"](b"body"), MIB) == b"body"


def test_inflate_refuses_a_zstd_window_over_8_mib() -> None:
    """A frame may ask for a window of 2 GiB, which the decoder would allocate."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(MalformedError, match="memory"):
        inflate("zstd", compressor.compress(b"small") + compressor.flush(), MIB)


@pytest.mark.parametrize("name", ["", *CODECS])
def test_inflate_of_an_empty_body_is_empty(name: str) -> None:
    """Some clients send an empty request with the header they always send."""
    assert inflate(name, b"", MIB) == b""


def test_inflater_refuses_unknown_encodings() -> None:
    """The error says what would be accepted."""
    with pytest.raises(UnsupportedEncodingError, match="gzip") as caught:
        inflater("br", MIB)
    assert caught.value.accepted == ENCODINGS


@pytest.mark.parametrize(
    ("log", "streamed", "window"),
    [(17, True, 1 << 17), (20, True, 1 << 20), (27, True, 8 << 20), (20, False, len(BODY))],
)
def test_the_window_of_a_zstd_frame_is_in_its_header(log: int, streamed: bool, window: int) -> None:
    """That of a frame in one piece is its content; a larger one than is taken is refused before it is made."""
    parameters = zstandard.ZstdCompressionParameters(window_log=log)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    stream = compressor.compressobj()
    frame = stream.compress(BODY) + stream.flush() if streamed else compressor.compress(BODY)
    assert working_memory("zstd", frame) == working_memory("zstd", b"") + window
    assert working_memory("zstd", frame[:5]) <= working_memory("zstd", b"") + (8 << 20)
