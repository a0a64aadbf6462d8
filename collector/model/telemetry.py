"""`Telemetry`: the thing in the pipe. An OTLP request, as the bytes it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.model.signal import Signal

if TYPE_CHECKING:
    from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One signal's items in OTLP wire form.

    `payload` is an encoded `Export…ServiceRequest` that `wire.scan` has accepted: it parses, every item in it
    is valid, and `items` counts them. Because field 1 of all requests is repeated, the payloads of
    several `Telemetry` joined together are again one valid request (protobuf encoding, "Last One Wins" and
    repeated fields): batching is a join and forwarding is free.
    """

    signal: Signal
    payload: bytes
    items: int

    @property
    def size(self) -> int:
        """Size in bytes: what every byte bound counts."""
        return len(self.payload)

    def parse(self) -> Message:
        """Return a new parsed `Export…ServiceRequest`. Only processors that edit and the encoders do this."""
        message = self.signal.request_type()()
        message.ParseFromString(self.payload)
        return message

    def with_message(self, message: Message) -> Telemetry:
        """Return the same items carried by an edited `message` (the number of items must not have changed)."""
        return Telemetry(self.signal, message.SerializeToString(), self.items)
