"""The server's side of HTTP/2, without a socket: what it answers to honest clients, and to others."""

from __future__ import annotations

import tracemalloc

import hpack
import pytest

from collector.wire import grpc
from collector.wire.http2 import frames
from collector.wire.http2.frames import ErrorCode
from collector.wire.http2.headers import FIELDS_MAX, BlockReader, write_fields
from collector.wire.http2.streams import Limits
from tests.support.http2_stream import GREETING, REQUEST, Play, headers

CALM = ErrorCode.ENHANCE_YOUR_CALM


def started(limits: Limits | None = None) -> Play:
    return Play(limits).feed([GREETING])


def test_http2_answers_a_call() -> None:
    """A header, a message, and the end of both; nothing is kept."""
    play = started().feed(
        [headers(hpack.Encoder(), 1) + frames.frame(frames.DATA, frames.END_STREAM, 1, b"hello")]
    )
    assert play.calls[1]["data"] == b"hello"
    assert (frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, b"\x88") in play.frames()
    assert not play.connection.streams


def test_http2_tells_a_client_to_stop_when_it_is_answered_early() -> None:
    """RFC 9113, section 8.1: RST_STREAM with NO_ERROR behind the answer; what is under way is thrown away."""
    play = started().feed([headers(hpack.Encoder(), 1)])
    play.connection.end(play.connection.streams[1], b"\x88")
    play.feed([frames.frame(frames.DATA, 0, 1, bytes(1000))])
    assert (frames.RST_STREAM, 0, 1, b"\0\0\0\0") in play.frames()
    assert play.calls[1]["data"] == b""
    assert not play.connection.closed


def test_http2_gives_the_connections_window_back() -> None:
    """Whatever is sent, in many calls: it never runs dry."""
    encoder = hpack.Encoder()
    play = started(Limits(stream_window=1 << 20))
    for number in range(40):
        stream = 2 * number + 1
        chunk = frames.frame(frames.DATA, 0, stream, bytes(16384)) * 30
        play.feed([headers(encoder, stream), chunk, frames.frame(frames.DATA, frames.END_STREAM, stream)])
    assert not play.connection.closed
    assert play.connection._window > 4 * 1024 * 1024


@pytest.mark.parametrize("padding", [0, 100])
def test_http2_takes_data_in_large_frames(padding: int) -> None:
    """What may be so large is announced; nothing of it is held, padded or not."""
    content = bytes(range(256)) * 500
    flags = frames.END_STREAM | (frames.PADDED if padding else 0)
    frame = frames.frame(
        frames.DATA, flags, 1, (bytes([padding]) if padding else b"") + content + bytes(padding)
    )
    play = started(Limits(stream_window=1 << 20))
    play.feed([headers(hpack.Encoder(), 1)])
    for piece in (frame[:9], frame[9:10], frame[10:100_000], frame[100_000:-50]):
        play.feed([piece])
        assert play.connection.held <= frames.HEAD_SIZE
    play.feed([frame[-50:]])
    assert play.calls[1]["data"] == content
    assert play.calls[1]["ended"]
    announced = frames.MAX_FRAME_SIZE.to_bytes(2, "big") + frames.DATA_SIZE_MAX.to_bytes(4, "big")
    assert announced in play.output


def test_http2_sends_only_what_the_client_has_room_for() -> None:
    """The windows of the stream and of the connection; the trailers wait behind the data."""
    play = Play(answers=False).feed([frames.PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: 10})])
    play.feed([headers(hpack.Encoder(), 1, end=True)])
    stream = play.connection.streams[1]
    play.connection.respond(stream, b"\x88", b"x" * 25)
    play.connection.end(stream, write_fields([(b"grpc-status", b"0")]))
    sent = [len(payload) for kind, _, _, payload in play.feed([b""]).frames() if kind == frames.DATA]
    assert sent == [10]
    play.feed([frames.window_update(1, 5), frames.settings({frames.INITIAL_WINDOW_SIZE: 1000})])
    found = play.frames()
    assert sum(len(payload) for kind, _, _, payload in found if kind == frames.DATA) == 25
    assert found[-1][0] == frames.HEADERS or found[-2][0] == frames.HEADERS
    assert not play.connection.blocked


def test_http2_ends_a_client_that_never_opens_its_window() -> None:
    """What waits in memory for it is bounded."""
    play = Play(answers=False).feed([frames.PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: 0})])
    encoder = hpack.Encoder()
    for number in range(50):
        play.feed([headers(encoder, 2 * number + 1, end=True)])
        if not play.connection.closed:
            play.connection.respond(play.connection.streams[2 * number + 1], b"\x88", bytes(100_000))
    assert play.connection.closed
    assert play.feed([b""]).error == CALM


def test_http2_announces_and_keeps_a_bound_on_streams() -> None:
    """One more is refused, and may be sent again: REFUSED_STREAM."""
    encoder = hpack.Encoder()
    play = Play(Limits(streams_max=2)).feed([GREETING, *(headers(encoder, stream) for stream in (1, 3, 5))])
    assert (frames.RST_STREAM, 0, 5, ErrorCode.REFUSED_STREAM.to_bytes(4, "big")) in play.frames()
    assert sorted(play.calls) == [1, 3]


def test_http2_drains() -> None:
    """A client is told to make no more calls; those on their way count until it has read that, later ones do not."""
    encoder = hpack.Encoder()
    play = started().feed([headers(encoder, 1)])
    play.connection.drain()
    sent = play.feed([b""]).frames()
    assert [payload[:8] for kind, _, _, payload in sent if kind == frames.GOAWAY] == [
        b"\x7f\xff\xff\xff\0\0\0\0"
    ]
    [ping] = [payload for kind, flags, _, payload in sent if kind == frames.PING and not flags & frames.ACK]
    play.feed([headers(encoder, 3), frames.frame(frames.PING, frames.ACK, 0, ping)])
    assert [payload[:8] for kind, _, _, payload in play.frames() if kind == frames.GOAWAY][-1] == (
        b"\0\0\0\3\0\0\0\0"
    )
    play.feed([headers(encoder, 5), frames.frame(frames.DATA, frames.END_STREAM, 1, b"late")])
    assert sorted(play.calls) == [1, 3]


def test_http2_drains_without_an_answer() -> None:
    """A client that does not answer the ping is told anyway, once, which call was the last."""
    encoder = hpack.Encoder()
    play = started().feed([headers(encoder, 1)])
    play.connection.drain()
    play.connection.drain_now()
    play.connection.drain()
    play.connection.drain_now()
    play.feed([headers(encoder, 3)])
    last = [payload[:4] for kind, _, _, payload in play.frames() if kind == frames.GOAWAY]
    assert last == [b"\x7f\xff\xff\xff", b"\0\0\0\1"]
    assert sorted(play.calls) == [1]


ENCODED = hpack.Encoder().encode(REQUEST)
H = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, ENCODED)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frames.frame(frames.HEADERS, 4, 2, ENCODED), ErrorCode.PROTOCOL_ERROR, id="even stream"),
        pytest.param(frames.frame(frames.HEADERS, 4, 0, ENCODED), ErrorCode.PROTOCOL_ERROR, id="stream 0"),
        pytest.param(frames.frame(frames.DATA, 0, 1, b"x"), ErrorCode.PROTOCOL_ERROR, id="DATA on idle"),
        pytest.param(frames.frame(frames.DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR, id="DATA on 0"),
        pytest.param(H + frames.frame(frames.DATA, 8, 1, b"\x05x"), ErrorCode.PROTOCOL_ERROR, id="padding"),
        pytest.param(H + frames.frame(frames.DATA, 8, 1), ErrorCode.PROTOCOL_ERROR, id="padding of nothing"),
        pytest.param(
            H + frames.frame(frames.DATA, 1, 1) + frames.frame(frames.DATA, 0, 1, b"x"),
            ErrorCode.STREAM_CLOSED,
            id="DATA behind the end",
        ),
        pytest.param(
            frames.frame(frames.HEADERS, 0, 1, ENCODED) + frames.frame(frames.PING, 0, 0, bytes(8)),
            ErrorCode.PROTOCOL_ERROR,
            id="interrupted block",
        ),
        pytest.param(
            frames.frame(frames.CONTINUATION, 4, 1, b""), ErrorCode.PROTOCOL_ERROR, id="CONTINUATION"
        ),
        pytest.param(frames.rst_stream(9, CALM), ErrorCode.PROTOCOL_ERROR, id="RST on idle"),
        pytest.param(
            H + frames.frame(frames.RST_STREAM, 0, 1, b"x"), ErrorCode.FRAME_SIZE_ERROR, id="RST size"
        ),
        pytest.param(
            frames.frame(frames.SETTINGS, 0, 0, b"x"), ErrorCode.FRAME_SIZE_ERROR, id="SETTINGS size"
        ),
        pytest.param(
            frames.frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR, id="SETTINGS of a stream"
        ),
        pytest.param(
            frames.frame(frames.SETTINGS, 1, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR, id="SETTINGS ACK"
        ),
        pytest.param(frames.settings({4: 2**31}), ErrorCode.FLOW_CONTROL_ERROR, id="INITIAL_WINDOW_SIZE"),
        pytest.param(frames.settings({5: 1}), ErrorCode.PROTOCOL_ERROR, id="MAX_FRAME_SIZE"),
        pytest.param(frames.settings({2: 2}), ErrorCode.PROTOCOL_ERROR, id="ENABLE_PUSH"),
        pytest.param(frames.frame(frames.PING, 0, 0, b"x"), ErrorCode.FRAME_SIZE_ERROR, id="PING size"),
        pytest.param(
            frames.frame(frames.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR, id="PING of a stream"
        ),
        pytest.param(frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR, id="WINDOW_UPDATE 0"),
        pytest.param(frames.window_update(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR, id="window overflow"),
        pytest.param(
            H + frames.window_update(1, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR, id="stream's overflow"
        ),
        pytest.param(frames.window_update(7, 1), ErrorCode.PROTOCOL_ERROR, id="WINDOW_UPDATE on idle"),
        pytest.param(frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR, id="push"),
        pytest.param(
            H + b"\x02\x00\x01\x00\x00\x00\x00\x00\x01", ErrorCode.FRAME_SIZE_ERROR, id="size of data"
        ),
        pytest.param(b"\x00\x40\x01\x01\x00\x00\x00\x00\x01", ErrorCode.FRAME_SIZE_ERROR, id="frame size"),
        pytest.param(
            frames.frame(frames.HEADERS, 4, 1, b"\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR, id="HPACK"
        ),
        pytest.param(
            H + frames.frame(frames.DATA, 0, 1, bytes(16384)) * 17,
            ErrorCode.FLOW_CONTROL_ERROR,
            id="stream's window",
        ),
        pytest.param(
            H + frames.frame(frames.HEADERS, 4, 1, b""), ErrorCode.PROTOCOL_ERROR, id="second header"
        ),
        # Floods, each without end
        pytest.param(frames.frame(frames.PING, 0, 0, bytes(8)) * 5000, CALM, id="ping flood"),
        pytest.param(frames.settings({}) * 5000, CALM, id="settings flood"),
        pytest.param(
            frames.settings(dict.fromkeys(range(100, 2600), 1)) * 100, CALM, id="settings of settings"
        ),
        pytest.param(H + frames.frame(frames.DATA, 0, 1) * 5000, CALM, id="empty DATA"),
        pytest.param(H + frames.frame(frames.DATA, 0, 1, b"x") * 5000, CALM, id="tiny DATA"),
        pytest.param(H + frames.window_update(1, 1) * 5000, CALM, id="tiny windows"),
        pytest.param(frames.frame(frames.PRIORITY, 0, 1, bytes(5)) * 5000, CALM, id="priority flood"),
        pytest.param(frames.frame(99, 0, 0) * 5000, CALM, id="unknown frames"),
        pytest.param(
            frames.frame(frames.HEADERS, 0, 1, ENCODED) + frames.frame(frames.CONTINUATION, 0, 1, b"") * 100,
            CALM,
            id="empty CONTINUATION flood",
        ),
        pytest.param(
            frames.frame(frames.HEADERS, 0, 1, ENCODED)
            + frames.frame(frames.CONTINUATION, 0, 1, bytes(16384)) * 9,
            CALM,
            id="CONTINUATION flood",
        ),
        pytest.param(
            b"".join(
                frames.frame(frames.HEADERS, 4, 2 * n + 1, hpack.Encoder().encode(REQUEST[:4], huffman=False))
                + frames.rst_stream(2 * n + 1, ErrorCode.CANCEL)
                for n in range(3000)
            ),
            CALM,
            id="rapid reset",
        ),
        pytest.param(
            frames.frame(frames.HEADERS, 4, 1, write_fields([(b"x", bytes(1000))] * 16)),
            CALM,
            id="large header list",
        ),
        pytest.param(
            # One large entry in the table, and then many references to it: the HPACK bomb.
            frames.frame(frames.HEADERS, 4, 1, b"\x40\x01x\x7f\x81\x17" + bytes(3072) + b"\xbe" * 5000),
            CALM,
            id="HPACK bomb",
        ),
    ],
)
def test_http2_ends_a_connection_that_breaks_the_rules(sent: bytes, code: ErrorCode) -> None:
    """By a GOAWAY that says why, and nothing that follows is looked at."""
    play = started().feed([sent, H])
    assert play.connection.closed
    assert play.error == code
    assert len(play.output) < 200_000


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", frames.PREFACE + frames.window_update(0, 1)]
)
def test_http2_wants_its_preface_and_settings_first(sent: bytes) -> None:
    """RFC 9113, section 3.4."""
    assert Play().feed([sent]).error == ErrorCode.PROTOCOL_ERROR


def test_http2_puts_up_with_a_client_that_calls_and_pings_and_cancels_now_and_then() -> None:
    """The bound on nuisance is out of reach for who also gets something done."""
    encoder = hpack.Encoder()
    play = started()
    for number in range(5000):
        stream = 2 * number + 1
        play.feed(
            [headers(encoder, stream), frames.frame(frames.PING, 0, 0, bytes(8)), frames.window_update(0, 1)]
        )
        if number % 2:
            play.feed([frames.rst_stream(stream, ErrorCode.CANCEL)])
        else:
            play.feed([frames.frame(frames.DATA, frames.END_STREAM, stream, b"x")])
    assert not play.connection.closed


def test_block_reader_is_not_fooled_by_what_it_remembers() -> None:
    """The same bytes mean something else when the table has changed: always what hpack says."""
    encoder, reader, plain = hpack.Encoder(), BlockReader(16384), hpack.Decoder()
    for number in range(300):
        if number % 50 == 49:
            encoder.header_table_size = 4096 if encoder.header_table_size < 4096 else 100
        block = encoder.encode([*REQUEST, ("x", str(number // 3 % 7)), (f"y{number % 5}", "z")])
        expected = [(bytes(name), bytes(value)) for name, value in plain.decode(block, raw=True)]
        assert list(reader.read(block)) == expected


def test_written_fields_are_read_back() -> None:
    """Of all lengths, those that need a longer number among them."""
    fields = [(b"a" * n, b"b" * (n * 3)) for n in (1, 126, 127, 128, 254, 255, 1000)]
    assert [(bytes(n), bytes(v)) for n, v in hpack.Decoder().decode(write_fields(fields), raw=True)] == fields


@pytest.mark.parametrize(
    ("message", "encoded"), [("plain", b"plain"), ("50 %", b"50 %25"), ("a\nb", b"a%0Ab"), ("é", b"%C3%A9")]
)
def test_grpc_message_is_percent_encoded(message: str, encoded: bytes) -> None:
    """Printable ASCII but for the percent sign stays as it is."""
    assert grpc.percent_encoded(message) == encoded


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"5S", 5.0), (b"100m", 0.1), (b"2H", 7200.0), (b"1n", 1e-9), (b"x", None), (b"123456789S", None)],
)
def test_grpc_timeout_is_read(text: bytes, seconds: float | None) -> None:
    """At most eight digits and a unit; what is neither is ignored."""
    found = grpc.read_head(
        ((b":method", b"POST"), (b"content-type", b"application/grpc+proto"), (b"grpc-timeout", text))
    )
    assert found.timeout_s == seconds
    assert found.problem is None


@pytest.mark.parametrize("content_type", [b"application/json", b"", b"application/grpcweb"])
def test_grpc_wants_its_content_type(content_type: bytes) -> None:
    """415, as gRPC's specification has it, and a hint at the other port."""
    found = grpc.read_head(((b":method", b"POST"), (b"content-type", content_type)))
    assert found.problem is not None
    assert found.problem[0] == 415


def test_http2_reads_costly_headers_in_turns() -> None:
    """A quarter megabyte of blocks that no memory of blocks helps with: a few at a time, and all in the end."""
    fields = [(f"x-{number}", "1") for number in range(100)]
    blocks = [
        write_fields([(b"n", b"%d" % number)] + [(n.encode(), v.encode()) for n, v in fields])
        for number in range(90)
    ]
    play = started()
    sent = b"".join(
        frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 2 * number + 1, block)
        for number, block in enumerate(blocks)
    )
    opened = len(play.connection.receive(sent))
    turns = 1
    while play.connection.unread:
        events = play.connection.receive(b"")
        assert len(events) <= 3
        opened += len(events)
        turns += 1
    assert opened == 90
    assert turns >= 30


def test_http2_bounds_the_number_of_header_fields() -> None:
    """They take longer to decode than to send: a byte each, of a table."""
    play = started()
    for count, error in ((FIELDS_MAX, None), (FIELDS_MAX + 1, CALM)):
        block = write_fields([(b"a", b"")] * count)
        stream = 1 if error is None else 3
        play.feed([frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, block)])
        assert play.error == error


@pytest.mark.parametrize(
    ("sent", "held"),
    [
        (frames.frame(frames.HEADERS, 0, 1, bytes(16384))[:-1], 9 + 16383),
        (frames.frame(frames.HEADERS, 0, 1, bytes(100)), 9 + 100),
        (frames.frame(frames.HEADERS, 0, 1), 9),
        (
            frames.frame(frames.HEADERS, 0, 1, bytes(100)) + frames.frame(9, 0, 1, bytes(50))[:-1],
            9 + 100 + 9 + 49,
        ),
        (frames.frame(frames.PING, 0, 0, bytes(8))[:5], 5),
        (frames.frame(frames.PING, 0, 0, bytes(8)), 0),
    ],
    ids=["frame", "block", "block without content", "block and frame", "head of a frame", "complete"],
)
def test_http2_says_what_it_holds_of_what_is_not_complete(sent: bytes, held: int) -> None:
    """However it arrives; nothing of it is left when the connection ends."""
    for pieces in ([sent], [sent[:7], sent[7:]], [sent[i : i + 1] for i in range(len(sent))]):
        play = started().feed(pieces)
        assert play.connection.held == held
        play.connection.close(ErrorCode.NO_ERROR)
        assert play.connection.held == 0


def test_block_reader_remembers_little() -> None:
    """Of blocks that are tables of contents: a byte of each is a field."""
    reader = BlockReader(16384)
    tracemalloc.start()
    try:
        for number in range(1, 60):
            reader.read(bytes([0x80 | number]) + b"\x9f" * 120)
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()


def test_block_reader_remembers_what_comes_again() -> None:
    """Beside blocks that never do."""
    reader = BlockReader(16384)
    known = write_fields([(n.encode(), v.encode()) for n, v in REQUEST])
    for number in range(100):
        reader.read(known)
        work = reader.work
        reader.read(known)
        assert reader.work == work
        reader.read(known + write_fields([(b"grpc-timeout", b"%dm" % number)]))
