"""The way out of one HTTP/2 connection: answers, as far as the client's windows are open, pings, and the last word.

What its windows have no room for is kept for the client, up to a bound. Each answer makes good for some of the frames that
were no calls.
"""

from __future__ import annotations

from typing import Final

from collector.wire.http2 import frames
from collector.wire.http2.frames import ErrorCode
from collector.wire.http2.streams import Http2Error, Stream

# Frames beyond the ordinary that a client has free. An answered call gives some back.
_NUISANCE_MAX: Final = 2000
_NUISANCE_PER_CALL: Final = 16
# Ours tell by these 8 bytes what they ask.
_ALIVE: Final = b"collectr"
LEAVING: Final = b"goawayed"
# Answers that a client leaves in our memory because its windows are shut.
_UNSENT_MAX: Final = 1024 * 1024


class Outbound:
    """What is said on a connection: `take_output` gives the bytes."""

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}  # not ended by both sides yet
        self.closed = False
        self.closed_by: ErrorCode | None = None  # which rule of HTTP/2 the client has broken
        self.leaving = False  # the client was told to make no new calls; those on their way are still taken
        self.draining = False  # the last call is known
        self._output: list[bytes] = []
        self._last_stream = 0  # that the client has opened
        self._send_window = frames.WINDOW_DEFAULT
        self._stream_send_window = frames.WINDOW_DEFAULT
        self._unsent_size = 0
        self._nuisance = 0  # frames that were no calls, less what answers have made good

    def take_output(self) -> bytes:
        """Return what is to be sent now."""
        output = self._output
        if not output:
            return b""
        self._output = []
        return output[0] if len(output) == 1 else b"".join(output)

    # --- answers

    def respond(self, stream: Stream, block: bytes, data: bytes = b"") -> None:
        """Begin the answer: the header, and perhaps data. More may follow."""
        if stream.id not in self.streams or stream.answered:
            return
        self._output.append(frames.frame(frames.HEADERS, frames.END_HEADERS, stream.id, block))
        self.send(stream, data)

    def send(self, stream: Stream, data: bytes) -> None:
        """Send data, as the client's windows allow."""
        if not data or stream.id not in self.streams or stream.answered:
            return
        if not stream.unsent and len(data) <= min(
            stream.send_window, self._send_window, frames.FRAME_SIZE_MAX
        ):
            stream.send_window -= len(data)
            self._send_window -= len(data)
            self._output.append(frames.frame(frames.DATA, 0, stream.id, data))
            return
        stream.unsent += data
        self._unsent_size += len(data)
        if self._unsent_size > _UNSENT_MAX:
            self.close(ErrorCode.ENHANCE_YOUR_CALM, "answers are not read")
            return
        self._send_unsent_of(stream)

    def end(self, stream: Stream, block: bytes) -> None:
        """End the answer with a header block: the trailers, or the whole of it. A call that still sends is cut off."""
        if stream.id not in self.streams or stream.answered:
            return
        stream.answered = True
        if self._nuisance:
            self._nuisance = max(0, self._nuisance - _NUISANCE_PER_CALL)
        if stream.unsent:
            stream.ending = block
        else:
            self._end(stream, block)

    def _end(self, stream: Stream, block: bytes) -> None:
        flags = frames.END_HEADERS | frames.END_STREAM
        self._output.append(frames.frame(frames.HEADERS, flags, stream.id, block))
        if not stream.ended:  # section 8.1: the answer is complete, and the rest of the request not wanted
            self._output.append(frames.rst_stream(stream.id, ErrorCode.NO_ERROR))
        del self.streams[stream.id]

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Give the call up without an answer."""
        if self.streams.pop(stream.id, None) is not None:
            self._unsent_size -= len(stream.unsent)
            self._output.append(frames.rst_stream(stream.id, code))

    # --- the client's windows

    @property
    def blocked(self) -> bool:
        """Whether an answer waits for the client to open a window."""
        return self._unsent_size > 0

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"WINDOW_UPDATE of {len(payload)} bytes")
        self._annoy(1)
        increment = int.from_bytes(payload, "big") & frames.WINDOW_MAX
        if not increment:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        if not stream_id:
            self._send_window += increment
            if self._send_window > frames.WINDOW_MAX:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is too large")
        elif (stream := self.streams.get(stream_id)) is not None:
            stream.send_window += increment
            if stream.send_window > frames.WINDOW_MAX:
                raise Http2Error(
                    ErrorCode.FLOW_CONTROL_ERROR, f"the window of stream {stream_id} is too large"
                )
        elif stream_id > self._last_stream:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {stream_id}, which is idle")
        if self._unsent_size:
            self._send_unsent()

    def _set_stream_send_window(self, value: int) -> None:
        if value > frames.WINDOW_MAX:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value}")
        change = value - self._stream_send_window
        self._stream_send_window = value
        for stream in self.streams.values():
            stream.send_window += change  # section 6.9.2: may become negative
            if stream.send_window > frames.WINDOW_MAX:
                raise Http2Error(
                    ErrorCode.FLOW_CONTROL_ERROR, f"the window of stream {stream.id} is too large"
                )

    def _send_unsent(self) -> None:
        if self._unsent_size:
            for stream in [stream for stream in self.streams.values() if stream.unsent]:
                self._send_unsent_of(stream)

    def _send_unsent_of(self, stream: Stream) -> None:
        while stream.unsent:
            size = min(len(stream.unsent), stream.send_window, self._send_window, frames.FRAME_SIZE_MAX)
            if size <= 0:
                return
            self._output.append(frames.frame(frames.DATA, 0, stream.id, stream.unsent[:size]))
            stream.unsent = stream.unsent[size:]
            stream.send_window -= size
            self._send_window -= size
            self._unsent_size -= size
        if stream.ending is not None:
            self._end(stream, stream.ending)

    # --- frames that are no calls

    def forgive(self) -> None:
        """Half of what was too much is forgotten: for a caller with a clock, once a minute."""
        self._nuisance //= 2

    def _annoy(self, weight: int) -> None:
        self._nuisance += weight
        if self._nuisance > _NUISANCE_MAX:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that are no calls")

    # --- the last word, and whether anybody is there

    def ping(self) -> None:
        """Ask whether the client is there."""
        self._output.append(frames.frame(frames.PING, 0, 0, _ALIVE))

    def drain(self) -> None:
        """Ask the client to make no more calls. Those that run go on, and those that it made before it read this.

        What it sends from the answer to the ping on is not taken (RFC 9113, section 6.8).
        """
        if not self.leaving and not self.closed:
            self.leaving = True
            self._output.append(frames.goaway(frames.WINDOW_MAX, ErrorCode.NO_ERROR))
            self._output.append(frames.frame(frames.PING, 0, 0, LEAVING))

    def drain_now(self) -> None:
        """Take no new calls, and say so. Those that run go on."""
        if not self.draining and not self.closed:
            self.leaving = self.draining = True
            self._output.append(frames.goaway(self._last_stream, ErrorCode.NO_ERROR))

    def close(self, code: ErrorCode, why: str = "") -> None:
        """Say why the connection ends, behind what was said before; no call is open any more."""
        if not self.closed:
            self.closed = True
            self.closed_by = code or None
            self.streams.clear()
            self._output.append(frames.goaway(self._last_stream, code, why.encode(errors="replace")[:200]))
