"""`split`: one request as several smaller ones, each complete with its envelopes."""

from __future__ import annotations

from typing import Any, Final

from collector.model.signal import Signal
from collector.model.telemetry import Telemetry


def split(telemetry: Telemetry, items_max: int) -> list[Telemetry]:
    """Return requests of at most `items_max` items each that together hold the same telemetry, in order.

    Every piece has the envelopes of its items with all that belongs to them: schema URLs, dropped counts, entity
    references, a metric's metadata and temporality, unknown fields. Envelopes without items are dropped.
    `items_max` 0 means no limit. If nothing has to be split the result is `telemetry` itself.
    """
    if not items_max or telemetry.items <= items_max:
        return [telemetry]
    request: Any = telemetry.parse()
    if telemetry.signal is Signal.COSTS:
        return _split_records(telemetry.signal, request, items_max)
    splitter = _Splitter(telemetry.signal, items_max)
    resources, scopes, items = _FIELDS[telemetry.signal]
    for resource in getattr(request, resources):
        for scope in _taken_out(resource, scopes):
            envelopes = [(resources, resource), (scopes, scope)]
            if telemetry.signal is not Signal.METRICS:
                splitter.add(envelopes, "", _taken_out(scope, items))
                continue
            for metric in _taken_out(scope, items):
                data = metric.WhichOneof("data")
                if data is not None:
                    points = _taken_out(getattr(metric, data), "data_points")
                    splitter.add([*envelopes, (items, metric)], data, points)
    return splitter.finish()


_FIELDS: Final = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}


def _split_records(signal: Signal, request: Any, items_max: int) -> list[Telemetry]:
    """Costs have no envelopes."""
    pieces = []
    for at in range(0, len(request.records), items_max):
        part: Any = signal.request_type()()
        part.records.extend(request.records[at : at + items_max])
        pieces.append(Telemetry(signal, part.SerializeToString(), len(part.records)))
    return pieces


def _taken_out(envelope: Any, field: str) -> list[Any]:
    """Take the contents out of `envelope`, which thereby becomes what to put on every piece of them."""
    contents = list(getattr(envelope, field))
    envelope.ClearField(field)
    return contents


class _Splitter:
    """Fills one request after another."""

    def __init__(self, signal: Signal, items_max: int) -> None:
        self._signal = signal
        self._items_max = items_max
        self._pieces: list[Telemetry] = []
        self._begin()

    def _begin(self) -> None:
        self._request: Any = self._signal.request_type()()
        self._items = 0
        self._open: list[
            tuple[Any, Any]
        ] = []  # envelopes put on last, outermost first: the original, its copy

    def _end(self) -> None:
        self._pieces.append(Telemetry(self._signal, self._request.SerializeToString(), self._items))
        self._begin()

    def add(self, envelopes: list[tuple[str, Any]], data: str, items: list[Any]) -> None:
        """Add `items`, which lie in `envelopes`: (name of the field it lies in, envelope), outermost first.

        `data` is the oneof member that holds the points of a metric.
        """
        start = 0
        while start < len(items):
            part = items[start : start + self._items_max - self._items]
            envelope = self._envelope(envelopes)
            if data:
                getattr(envelope, data).data_points.extend(part)
            else:
                getattr(envelope, _FIELDS[self._signal][-1]).extend(part)
            self._items += len(part)
            start += len(part)
            if self._items == self._items_max:
                self._end()

    def _envelope(self, envelopes: list[tuple[str, Any]]) -> Any:
        """The innermost of `envelopes` in the request being filled; put on it if it isn't there yet."""
        parent = self._request
        for level, (field, original) in enumerate(envelopes):
            if level < len(self._open) and self._open[level][0] is original:
                parent = self._open[level][1]
                continue
            del self._open[level:]
            copy = getattr(parent, field).add()
            copy.CopyFrom(original)
            self._open.append((original, copy))
            parent = copy
        return parent

    def finish(self) -> list[Telemetry]:
        """Return all requests."""
        if self._items:
            self._end()
        return self._pieces
