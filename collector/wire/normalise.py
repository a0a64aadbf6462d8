"""One pass over a parsed request: refuse invalid items, put the rest into normal form, count both.

This is the reference: one function per message, in the order of the protocol's files. What each rule is and why
is in README.md. Fields are checked before they are written, so that a request in order stays untouched.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, assert_never

from collector.model.signal import Signal
from collector.wire.gather import Room, anything
from collector.wire.rules import Normalisation, Rejection

if TYPE_CHECKING:
    from google.protobuf.message import Message

_ZERO_8: Final = bytes(8)
_ZERO_16: Final = bytes(16)

# DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK (metrics.proto).
_NO_RECORDED_VALUE: Final = 1
# At 53 neighbouring bounds are the same double; at -12 two buckets hold every double, as at -11.
_SCALE_MIN: Final = -11
_SCALE_MAX: Final = 52
_INT32_MAX: Final = 2**31 - 1
# Stores keep a time in 63 bits: up to the year 2262.
_TIME_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanLimits:
    """What is accepted. Times of items must lie in `[now - past_ns, now + future_ns]`, all in nanoseconds.

    `depth_max` is how many AnyValues may be nested in each other. Protobuf's own limit of 100 nested messages
    comes first for lists (about 46) and maps (about 31).

    `room` is called with the bytes of memory that parsing is about to take, beyond the body; it raises when there are
    not so many.
    """

    now_unix_nano: int
    past_ns: int
    future_ns: int
    depth_max: int = 64
    room: Room = anything

    @property
    def window(self) -> tuple[int, int]:
        """The first and the last Unix nanosecond that is accepted. 0 never is: it means "unknown"."""
        return max(1, self.now_unix_nano - self.past_ns), min(_TIME_MAX, self.now_unix_nano + self.future_ns)


class Normaliser:
    """The state of one pass. After `run`: `items` accepted, `rejected`, `normalised`, whether `changed`."""

    def __init__(self, limits: ScanLimits) -> None:
        self.items = 0
        self.rejected: Counter[str] = Counter()
        self.normalised: Counter[str] = Counter()
        self.details: list[str] = []  # of single items, in words; few
        self.changed = False
        self._now = limits.now_unix_nano
        self._time_min, self._time_max = limits.window
        self._depth_max = limits.depth_max

    def run(self, signal: Signal, message: Message) -> None:
        """Bring `message`, an `Export…ServiceRequest`, into normal form in place."""
        request: Any = message
        match signal:
            case Signal.TRACES:
                for envelope in request.resource_spans:
                    self._resource(envelope)
                    for scope in envelope.scope_spans:
                        self._scope(scope)
                        self._items(scope.spans, self._span)
            case Signal.METRICS:
                for envelope in request.resource_metrics:
                    self._resource(envelope)
                    for scope in envelope.scope_metrics:
                        self._scope(scope)
                        self._metrics(scope.metrics)
            case Signal.LOGS:
                for envelope in request.resource_logs:
                    self._resource(envelope)
                    for scope in envelope.scope_logs:
                        self._scope(scope)
                        self._items(scope.log_records, self._log_record)
            case Signal.COSTS:
                self._costs(request.records)
            case _:
                assert_never(signal)

    # --- bookkeeping --------------------------------------------------------------------------------------

    def _change(self, rule: Normalisation, count: int = 1) -> None:
        self.normalised[rule] += count
        self.changed = True

    def _items(self, items: Any, check: Any) -> None:
        """Run `check` on every item; it returns why the item is refused, or None. Keep the others."""
        refused = []
        for index, item in enumerate(items):
            rejection = check(item)
            if rejection is not None:
                self.rejected[rejection] += 1
                refused.append(index)
        self.items += len(items) - len(refused)
        if refused:
            self.changed = True
            _remove(items, refused)

    def _costs(self, records: Any) -> None:
        from collector.wire.costs import CostRules  # loaded when somebody sends costs

        rules = CostRules(self._now)
        self._items(records, rules.check)
        self.details = rules.reasons
        for rule, count in rules.normalised.items():
            if count:
                self._change(Normalisation(rule), count)

    # --- parts that all signals share ---------------------------------------------------------------------

    def _resource(self, envelope: Any) -> None:
        self._text(envelope, "schema_url")
        resource = envelope.resource
        self._attributes(resource.attributes, 1)
        for entity in resource.entity_refs:
            self._text(entity, "schema_url")
            self._text(entity, "type")
            self._texts(entity.id_keys)
            self._texts(entity.description_keys)

    def _scope(self, envelope: Any) -> None:
        self._text(envelope, "schema_url")
        scope = envelope.scope
        self._text(scope, "name")
        self._text(scope, "version")
        self._attributes(scope.attributes, 1)

    def _attributes(self, pairs: Any, depth: int) -> None:
        """Bring a list of KeyValue into order. `depth`: how many AnyValues a value in it is nested in, plus 1."""
        keys = set()
        for pair in pairs:
            key = pair.key
            if "\0" in key:
                key = self._replaced(key)
                pair.key = key
            keys.add(key)
            if pair.key_strindex:
                pair.ClearField("key_strindex")
                self._change(Normalisation.STRING_TABLE_INDEX)
            value = pair.value
            # "" if it is of another type. Asking for the type costs three times as much.
            text = value.string_value
            if not text:
                self._value(value, depth)
            elif "\0" in text:
                value.string_value = self._replaced(text)
        if len(keys) != len(pairs):
            self._drop_duplicates(pairs)

    def _drop_duplicates(self, pairs: Any) -> None:
        """Of pairs with the same key keep the last, where it is."""
        last = {pair.key: index for index, pair in enumerate(pairs)}
        dropped = [index for index, pair in enumerate(pairs) if last[pair.key] != index]
        _remove(pairs, dropped)
        self._change(Normalisation.DUPLICATE_KEY, len(dropped))

    def _value(self, value: Any, depth: int) -> None:
        kind = value.WhichOneof("value")
        if kind == "string_value":
            text = value.string_value
            if "\0" in text:
                value.string_value = self._replaced(text)
        elif kind == "array_value":
            values = value.array_value.values
            if self._within_depth(values, depth):
                for element in values:
                    self._value(element, depth + 1)
        elif kind == "kvlist_value":
            pairs = value.kvlist_value.values
            if self._within_depth(pairs, depth):
                self._attributes(pairs, depth + 1)
        elif kind == "string_value_strindex":
            value.ClearField("string_value_strindex")
            self._change(Normalisation.STRING_TABLE_INDEX)

    def _within_depth(self, entries: Any, depth: int) -> bool:
        """Whether the entries of a list or map at `depth` may stay; if not they are removed."""
        if depth < self._depth_max:
            return True
        if entries:
            del entries[:]
            self._change(Normalisation.TOO_DEEP)
        return False

    def _text(self, message: Any, field: str) -> None:
        text = getattr(message, field)
        if "\0" in text:
            setattr(message, field, self._replaced(text))

    def _texts(self, texts: Any) -> None:
        for index, text in enumerate(texts):
            if "\0" in text:
                texts[index] = self._replaced(text)

    def _replaced(self, text: str) -> str:
        self._change(Normalisation.NUL_CHARACTER)
        return text.replace("\0", "\N{REPLACEMENT CHARACTER}")

    def _optional_ids(self, message: Any) -> None:
        """Clear `trace_id` and `span_id` where they are not valid: absent is what an invalid id means."""
        trace_id = message.trace_id
        if trace_id and (len(trace_id) != 16 or trace_id == _ZERO_16):
            self._clear_id(message, "trace_id", _ZERO_16)
        span_id = message.span_id
        if span_id and (len(span_id) != 8 or span_id == _ZERO_8):
            self._clear_id(message, "span_id", _ZERO_8)

    def _clear_id(self, message: Any, field: str, zero: bytes) -> None:
        is_zero = getattr(message, field) == zero
        self._change(Normalisation.ID_ZERO if is_zero else Normalisation.ID_LENGTH)
        message.ClearField(field)

    def _time(self, unix_nano: int) -> Rejection | None:
        if self._time_min <= unix_nano <= self._time_max:
            return None
        return Rejection.TIME_OUT_OF_WINDOW if unix_nano else Rejection.NO_TIME

    # --- traces -------------------------------------------------------------------------------------------

    def _span(self, span: Any) -> Rejection | None:
        trace_id = span.trace_id
        if len(trace_id) != 16 or trace_id == _ZERO_16:
            return Rejection.INVALID_TRACE_ID
        span_id = span.span_id
        if len(span_id) != 8 or span_id == _ZERO_8:
            return Rejection.INVALID_SPAN_ID
        rejection = self._time(span.start_time_unix_nano)
        if rejection is not None:
            return rejection
        parent = span.parent_span_id
        if parent and (len(parent) != 8 or parent == _ZERO_8):
            self._clear_id(span, "parent_span_id", _ZERO_8)
        self._text(span, "name")
        self._text(span, "trace_state")
        self._attributes(span.attributes, 1)
        for event in span.events:
            self._text(event, "name")
            self._attributes(event.attributes, 1)
        for link in span.links:
            self._optional_ids(link)
            self._text(link, "trace_state")
            self._attributes(link.attributes, 1)
        self._text(span.status, "message")
        return None

    # --- metrics ------------------------------------------------------------------------------------------

    def _metrics(self, metrics: Any) -> None:
        without_data = []
        for index, metric in enumerate(metrics):
            kind = metric.WhichOneof("data")
            if kind is None:
                without_data.append(index)
                continue
            self._text(metric, "name")
            self._text(metric, "description")
            self._text(metric, "unit")
            self._attributes(metric.metadata, 1)
            data = getattr(metric, kind)
            points = data.data_points
            if kind == "gauge":
                self._items(points, self._number_point)
            elif kind == "summary":
                self._items(points, self._summary_point)
            elif not data.aggregation_temporality:
                self._items(points, _without_temporality)
            elif kind == "sum":
                self._items(points, self._number_point)
            elif kind == "histogram":
                self._items(points, self._histogram_point)
            else:
                self._items(points, self._exponential_point)
        if without_data:
            _remove(metrics, without_data)
            self._change(Normalisation.METRIC_WITHOUT_DATA, len(without_data))

    def _number_point(self, point: Any) -> Rejection | None:
        rejection = self._time(point.time_unix_nano)
        if rejection is not None:
            return rejection
        if point.flags & _NO_RECORDED_VALUE:
            self._clear(point, ("as_double", "as_int"))
        elif point.WhichOneof("value") is None:
            return Rejection.NO_VALUE
        self._attributes(point.attributes, 1)
        self._exemplars(point.exemplars)
        return None

    def _histogram_point(self, point: Any) -> Rejection | None:
        rejection = self._time(point.time_unix_nano)
        if rejection is not None:
            return rejection
        if point.flags & _NO_RECORDED_VALUE:
            self._clear(point, ("count", "sum", "min", "max", "bucket_counts", "explicit_bounds"))
        else:
            counts = point.bucket_counts
            bounds = point.explicit_bounds
            if counts or bounds:
                if len(counts) != len(bounds) + 1:
                    return Rejection.HISTOGRAM_BUCKETS
                if not _strictly_increasing(bounds):
                    return Rejection.HISTOGRAM_BOUNDS
                if sum(counts) != point.count:
                    self.normalised[Normalisation.BUCKET_COUNT_MISMATCH] += 1
        self._attributes(point.attributes, 1)
        self._exemplars(point.exemplars)
        return None

    def _exponential_point(self, point: Any) -> Rejection | None:
        rejection = self._time(point.time_unix_nano)
        if rejection is not None:
            return rejection
        if point.flags & _NO_RECORDED_VALUE:
            self._clear(point, _EXPONENTIAL_VALUES)
        else:
            if not _SCALE_MIN <= point.scale <= _SCALE_MAX:
                return Rejection.EXPONENTIAL_SCALE
            count = point.zero_count
            for buckets in (point.positive, point.negative):
                counts = buckets.bucket_counts
                if buckets.offset + len(counts) - 1 > _INT32_MAX:
                    return Rejection.EXPONENTIAL_INDEX
                count += sum(counts)
            if count != point.count:
                self.normalised[Normalisation.BUCKET_COUNT_MISMATCH] += 1
        self._attributes(point.attributes, 1)
        self._exemplars(point.exemplars)
        return None

    def _summary_point(self, point: Any) -> Rejection | None:
        rejection = self._time(point.time_unix_nano)
        if rejection is not None:
            return rejection
        if point.flags & _NO_RECORDED_VALUE:
            self._clear(point, ("count", "sum", "quantile_values"))
        elif point.quantile_values:
            quantiles = [entry.quantile for entry in point.quantile_values]
            if not (_strictly_increasing(quantiles) and quantiles[0] >= 0 and quantiles[-1] <= 1):
                return Rejection.SUMMARY_QUANTILES
        self._attributes(point.attributes, 1)
        return None

    def _clear(self, point: Any, values: tuple[str, ...]) -> None:
        """Clear the `values` of a point that is flagged to have none (metrics.proto, DataPointFlags)."""
        present = {field.name for field, _ in point.ListFields()}.intersection(values)
        if present:
            for name in present:
                point.ClearField(name)
            self._change(Normalisation.NO_RECORDED_VALUE)

    def _exemplars(self, exemplars: Any) -> None:
        for exemplar in exemplars:
            self._optional_ids(exemplar)
            self._attributes(exemplar.filtered_attributes, 1)

    # --- logs ---------------------------------------------------------------------------------------------

    def _log_record(self, record: Any) -> Rejection | None:
        observed = record.observed_time_unix_nano
        rejection = self._time(record.time_unix_nano or observed or self._now)
        if rejection is not None:
            return rejection
        if not observed:
            record.observed_time_unix_nano = self._now
            self._change(Normalisation.OBSERVED_TIME)
        self._text(record, "severity_text")
        self._text(record, "event_name")
        self._value(record.body, 1)
        self._attributes(record.attributes, 1)
        self._optional_ids(record)
        return None


_EXPONENTIAL_VALUES: Final = (
    "count", "sum", "min", "max", "scale", "zero_count", "zero_threshold", "positive", "negative",
)  # fmt: skip


def _without_temporality(_point: Any) -> Rejection:
    return Rejection.NO_TEMPORALITY


def _strictly_increasing(numbers: Any) -> bool:
    """Whether every number is less than the next; never if one is NaN."""
    if not numbers:
        return True
    return not math.isnan(numbers[0]) and all(low < high for low, high in pairwise(numbers))


def _remove(messages: Any, indices: list[int]) -> None:
    """Remove the elements at `indices`. Rebuilds the field: deleting one by one is quadratic."""
    removed = set(indices)
    kept = [message for index, message in enumerate(messages) if index not in removed]
    del messages[:]
    messages.extend(kept)
