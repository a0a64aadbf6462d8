"""The server's side of one HTTP/2 connection, without a socket: bytes in, events and bytes out (RFC 9113).

Everything that a client may do costs it something here. Sizes and numbers have bounds; what a client sends beyond its
calls (resets, pings, settings, empty frames, refused calls) is counted against the calls that it lets us answer, and
when that is out of all proportion the connection ends with ENHANCE_YOUR_CALM. Nothing depends on how the bytes are cut.
"""

from __future__ import annotations

from typing import Final

from collector.wire.http2 import frames
from collector.wire.http2.frames import ErrorCode
from collector.wire.http2.headers import BlockError, BlockReader
from collector.wire.http2.outbound import LEAVING, Outbound
from collector.wire.http2.streams import Event, Http2Error, Limits, Stream

# Fields of a request, as RFC 9113 counts them (section 6.5.2): gRPC metadata is limited to 8 KiB by default.
HEADER_LIST_MAX: Final = 16 * 1024
# A block may come in pieces, of which an attacker could send ever more (CVE-2024-27316).
_BLOCK_BYTES_MAX: Final = 2 * HEADER_LIST_MAX
_BLOCK_FRAMES_MAX: Final = 16
# What a client may send of all calls together before it is told that it was read. It is told at half of it.
_CONNECTION_WINDOW: Final = 8 * 1024 * 1024
# What header blocks may cost in one go (`BlockReader.work`), and how many frames there may be in it: some 0.5 ms each, by hand.
_TURN_WORK: Final = 50
_TURN_FRAMES: Final = 400
# What a call that is refused or given up counts, in frames that are no calls.
_NUISANCE_OF_REFUSED: Final = 8


class Connection(Outbound):
    """Feed `receive`, send what `take_output` gives, until there is a CLOSED event."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self.greeted = False  # the preface has arrived
        self.unread = False  # there is more to read in what has arrived: `receive` nothing for it
        self.held = 0  # bytes of a frame or a header block that is not complete
        self.held_number = 0  # another one for each that is held
        self._events: list[tuple[Event, Stream | None]] = []
        self._rest = b""  # an incomplete frame
        self._begun = False  # the first frame, which has to be SETTINGS, has arrived
        self._data_left = 0  # of the DATA frame that is being read, with its padding
        self._padding = 0  # at its end
        self._data_of: Stream | None = None
        self._data_ends = False
        self._block: list[bytes] | None = None  # a header block that is not complete
        self._block_size = 0  # with the heads of its frames: pieces without content are held too
        self._block_of = 0
        self._block_ends = False
        self._reader = BlockReader(HEADER_LIST_MAX)
        self._window = _CONNECTION_WINDOW
        self.refused = 0  # calls, since somebody looked
        self._output.append(
            frames.settings(
                {
                    frames.MAX_CONCURRENT_STREAMS: limits.streams_max,
                    frames.INITIAL_WINDOW_SIZE: limits.stream_window,
                    frames.MAX_FRAME_SIZE: frames.DATA_SIZE_MAX,
                    frames.MAX_HEADER_LIST_SIZE: HEADER_LIST_MAX,
                }
            )
            + frames.window_update(0, _CONNECTION_WINDOW - frames.WINDOW_DEFAULT)
        )

    def receive(self, data: bytes) -> list[tuple[Event, Stream | None]]:
        """Take what has arrived. Raises nothing: a connection error is a CLOSED event, and a GOAWAY to send.

        It is not at this for longer than a millisecond: see `unread`.
        """
        if self.closed:
            return []
        events = self._events = []
        try:
            self._parse(self._rest + data if self._rest else data)
        except Http2Error as error:
            self.close(error.code, str(error))
        return events

    def _parse(self, data: bytes) -> None:
        at, end = 0, len(data)
        self.unread = False
        work_max, frames_left = self._reader.work + _TURN_WORK, _TURN_FRAMES
        if not self.greeted:
            if not frames.PREFACE.startswith(data[: len(frames.PREFACE)]):
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "this is not HTTP/2")
            if end < len(frames.PREFACE):
                self._rest, self.held = data, end
                return
            self.greeted = True
            at = len(frames.PREFACE)
        unpack = frames.HEAD.unpack_from
        while True:
            if self._data_left:
                size = min(self._data_left, end - at)
                if size:
                    self._take_data(data[at : at + size] if size < end else data, self._data_left - size)
                    at += size
                if self._data_left:
                    break
            if end - at < frames.HEAD_SIZE:
                break
            if self._reader.work > work_max or not frames_left:
                self.unread = True
                break
            frames_left -= 1
            high, low, kind, flags, stream_id = unpack(data, at)
            size = high << 8 | low
            if size > frames.FRAME_SIZE_MAX and (kind != frames.DATA or size > frames.DATA_SIZE_MAX):
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            if not self._begun:
                if kind != frames.SETTINGS or flags & frames.ACK:
                    raise Http2Error(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
                self._begun = True
            stream_id &= frames.WINDOW_MAX  # the first bit is reserved
            if self._block is not None and (kind != frames.CONTINUATION or stream_id != self._block_of):
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
            if kind == frames.DATA:
                padded = bool(flags & frames.PADDED and size)
                if end - at < frames.HEAD_SIZE + padded:
                    break
                at += frames.HEAD_SIZE
                self._begin_data(stream_id, size, flags, data[at] if padded else 0)
                at += padded
                continue
            if end - at < frames.HEAD_SIZE + size:
                break
            at += frames.HEAD_SIZE
            payload = data[at : at + size]
            at += size
            self._frame(kind, flags, stream_id, payload)
        if at < end or self._block is not None:
            self._rest = data[at:]
            if at and self._block is None:  # whatever was begun before is complete
                self.held_number += 1
            # What waits for its turn is worked on in a moment, whatever the client does.
            self.held = self._block_size + (0 if self.unread else end - at)
        elif self.held or self._rest:
            self._rest, self.held = b"", 0

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == frames.HEADERS:
            self._on_headers(flags, stream_id, payload)
        elif kind == frames.CONTINUATION:
            self._on_continuation(flags, payload)
        elif kind == frames.WINDOW_UPDATE:
            self._on_window_update(stream_id, payload)
        elif kind == frames.SETTINGS:
            self._on_settings(flags, stream_id, payload)
        elif kind == frames.PING:
            self._on_ping(flags, stream_id, payload)
        elif kind == frames.RST_STREAM:
            self._on_rst_stream(stream_id, payload)
        elif kind == frames.PUSH_PROMISE:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a client cannot push")
        else:  # GOAWAY, PRIORITY, and what nobody knows (section 4.1): ignored
            self._annoy(1)

    # --- DATA

    def _begin_data(self, stream_id: int, size: int, flags: int, padding: int) -> None:
        """Of a padded frame, the byte that says so has been read (section 6.1). Windows count all of it."""
        padded = bool(flags & frames.PADDED)
        if padded and padding >= size:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "more padding than frame")
        self._window -= size
        if self._window < 0:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "more than the connection's window")
        stream = self.streams.get(stream_id)
        if stream is None or stream.ended:
            if stream is None and (not stream_id & 1 or stream_id > self._last_stream):
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"DATA on stream {stream_id}, which is idle")
            if stream is not None:
                raise Http2Error(ErrorCode.STREAM_CLOSED, f"DATA behind the end of stream {stream_id}")
            self._annoy(1)  # of a call that was refused or given up; some of it was under way
        else:
            stream.window -= size
            if stream.window < 0:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, f"more than the window of stream {stream_id}")
            if size < 64:
                self._annoy(1)
        self._data_of, self._data_ends = stream, bool(flags & frames.END_STREAM)
        self._data_left, self._padding = size - padded, padding
        if not self._data_left:
            self._take_data(b"", 0)

    def _take_data(self, chunk: bytes, left: int) -> None:
        stream = self._data_of
        self._data_left = left
        if self._window < _CONNECTION_WINDOW // 2:
            self._output.append(frames.window_update(0, _CONNECTION_WINDOW - self._window))
            self._window = _CONNECTION_WINDOW
        if stream is None or stream.id not in self.streams:
            return  # nobody wants it any more
        if left < self._padding:
            chunk = chunk[: max(0, len(chunk) - self._padding + left)]
        if chunk:
            stream.chunks.append(chunk)
        if not left and self._data_ends:
            stream.ended = True
        elif not chunk:
            return
        events = self._events
        if (
            not events
            or events[-1][1] is not stream
            or (events[-1][0] is not Event.DATA and events[-1][0] is not Event.OPENED)
        ):
            events.append((Event.DATA, stream))
        if stream.ended:
            self._forget_if_over(stream)

    def allow(self, stream: Stream, size: int) -> None:
        """Let the client send `size` bytes more of this call than it has sent."""
        increment = min(size, frames.WINDOW_MAX) - stream.window
        if increment > 0 and not stream.ended and stream.id in self.streams:
            stream.window += increment
            self._output.append(frames.window_update(stream.id, increment))

    def _forget_if_over(self, stream: Stream) -> None:
        if stream.answered and not stream.unsent:
            self.streams.pop(stream.id, None)

    # --- HEADERS

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id & 1:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        if flags & frames.PADDED:
            payload = _unpadded(payload)
        if flags & frames.PRIORITIZED:
            if len(payload) < 5:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "HEADERS without its priority")
            payload = payload[5:]
        ends = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._on_block(stream_id, payload, ends)
        else:
            self._block, self._block_of, self._block_ends = [payload], stream_id, ends
            self.held_number += 1
            self._block_size = frames.HEAD_SIZE + len(payload)

    def _on_continuation(self, flags: int, payload: bytes) -> None:
        if self._block is None:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._block.append(payload)
        self._block_size += frames.HEAD_SIZE + len(payload)
        if len(self._block) > _BLOCK_FRAMES_MAX or self._block_size > _BLOCK_BYTES_MAX:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & frames.END_HEADERS:
            block, self._block, self._block_size = b"".join(self._block), None, 0
            self._on_block(self._block_of, block, self._block_ends)

    def _on_block(self, stream_id: int, block: bytes, ends: bool) -> None:
        try:
            fields = self._reader.read(block)
        except BlockError as error:
            code = ErrorCode.ENHANCE_YOUR_CALM if error.too_large else ErrorCode.COMPRESSION_ERROR
            raise Http2Error(code, str(error)) from None
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._on_trailers(stream, ends)
            return
        if stream_id <= self._last_stream:
            self._annoy(_NUISANCE_OF_REFUSED)  # the end of a call that was refused or given up
            return
        self._last_stream = stream_id
        if self.draining:
            self._annoy(1)
            return  # the GOAWAY has told that it will not be looked at
        if len(self.streams) >= self._limits.streams_max:
            self._annoy(_NUISANCE_OF_REFUSED)
            self.refused += 1
            self._output.append(frames.rst_stream(stream_id, ErrorCode.REFUSED_STREAM))
            return
        stream = Stream(stream_id, fields, self._limits.stream_window, self._stream_send_window)
        stream.ended = ends
        self.streams[stream_id] = stream
        self._annoy(1)
        self._events.append((Event.OPENED, stream))

    def _on_trailers(self, stream: Stream, ends: bool) -> None:
        if stream.ended:
            raise Http2Error(ErrorCode.STREAM_CLOSED, f"HEADERS behind the end of stream {stream.id}")
        if not ends:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"a second header on stream {stream.id}")
        stream.ended = True
        self._events.append((Event.DATA, stream))
        self._forget_if_over(stream)

    # --- the others

    def _on_rst_stream(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"RST_STREAM of {len(payload)} bytes")
        if not stream_id or stream_id > self._last_stream:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which is idle")
        self._annoy(_NUISANCE_OF_REFUSED)
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            self._unsent_size -= len(stream.unsent)
            stream.answered = True  # there is nobody to answer: whoever has not begun with it need not
            self._events.append((Event.RESET, stream))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._annoy(1)
        if stream_id:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "SETTINGS of a stream")
        if flags & frames.ACK:
            if payload:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of settings with settings")
            return
        if len(payload) % 6:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
        self._annoy(len(payload) // 60)
        for at in range(0, len(payload), 6):
            key = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            if key == frames.INITIAL_WINDOW_SIZE:
                self._set_stream_send_window(value)
            elif key == frames.MAX_FRAME_SIZE:
                if not frames.FRAME_SIZE_MAX <= value < 1 << 24:
                    raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE {value}")
            elif key == frames.ENABLE_PUSH and value > 1:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH {value}")
        self._output.append(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._send_unsent()

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "PING of a stream")
        if len(payload) != 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        self._annoy(1)
        if flags & frames.ACK:
            if self.leaving and payload == LEAVING:
                self.drain_now()
            return
        self._output.append(frames.frame(frames.PING, frames.ACK, 0, payload))
        self._events.append((Event.PING, None))

    # --- the end

    def close(self, code: ErrorCode, why: str = "") -> None:
        """End the connection: nothing that arrives counts any more."""
        if not self.closed:
            super().close(code, why)
            self.unread = False
            self._rest, self._block, self._block_size, self.held = b"", None, 0, 0
            self._events.append((Event.CLOSED, None))


def _unpadded(payload: bytes) -> bytes:
    """Without the padding (section 6.1)."""
    if not payload or payload[0] >= len(payload):
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - payload[0]]
