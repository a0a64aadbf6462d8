"""The rules by which single items are refused or put right, by name, and the sentence that tells the sender.

The names are metric labels and the keys of `Scanned.rejected` and `Scanned.normalised`. README.md explains each.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from collector.model.signal import Signal


class Rejection(enum.StrEnum):
    """Why an item was refused. `_REJECTION_TEXTS` says it in words."""

    INVALID_TRACE_ID = "invalid_trace_id"
    INVALID_SPAN_ID = "invalid_span_id"
    NO_TIME = "no_time"
    TIME_OUT_OF_WINDOW = "time_out_of_window"
    NO_TEMPORALITY = "no_temporality"
    NO_VALUE = "no_value"
    HISTOGRAM_BUCKETS = "histogram_buckets"
    HISTOGRAM_BOUNDS = "histogram_bounds"
    EXPONENTIAL_SCALE = "exponential_scale"
    EXPONENTIAL_INDEX = "exponential_index"
    SUMMARY_QUANTILES = "summary_quantiles"
    INVALID_RECORD = "invalid_record"


class Normalisation(enum.StrEnum):
    """What was changed in items that were taken. `_NORMALISATION_TEXTS` says it in words."""

    INVALID_UTF8 = "invalid_utf8"
    NUL_CHARACTER = "nul_character"
    DUPLICATE_KEY = "duplicate_key"
    TOO_DEEP = "too_deep"
    STRING_TABLE_INDEX = "string_table_index"
    ID_LENGTH = "id_length"
    ID_ZERO = "id_zero"
    NO_RECORDED_VALUE = "no_recorded_value"
    OBSERVED_TIME = "observed_time"
    METRIC_WITHOUT_DATA = "metric_without_data"
    BUCKET_COUNT_MISMATCH = "bucket_count_mismatch"
    NOTHING_KNOWN = "nothing_known"
    JSON_SNAKE_CASE = "json_snake_case"
    JSON_ENUM_NAME = "json_enum_name"


_REJECTION_TEXTS: Final[dict[str, str]] = {
    Rejection.INVALID_TRACE_ID: "trace_id is not 16 bytes or is zero",
    Rejection.INVALID_SPAN_ID: "span_id is not 8 bytes or is zero",
    Rejection.NO_TIME: "time is 0",
    Rejection.TIME_OUT_OF_WINDOW: "time is outside the accepted window",
    Rejection.NO_TEMPORALITY: "aggregation_temporality is UNSPECIFIED",
    Rejection.NO_VALUE: "neither as_double nor as_int is set, nor the flag NO_RECORDED_VALUE",
    Rejection.HISTOGRAM_BUCKETS: "bucket_counts does not have one element more than explicit_bounds",
    Rejection.HISTOGRAM_BOUNDS: "explicit_bounds is not strictly increasing or holds NaN",
    Rejection.EXPONENTIAL_SCALE: "scale is not within -11 … 52",
    Rejection.EXPONENTIAL_INDEX: "bucket index does not fit into 32 bits",
    Rejection.SUMMARY_QUANTILES: "quantiles are not strictly increasing within 0 … 1",
    Rejection.INVALID_RECORD: "the record is not valid",
}

# What the sender is told. The others are put right in silence: nothing that was meant is lost.
_NORMALISATION_TEXTS: Final[dict[str, str]] = {
    Normalisation.INVALID_UTF8: "invalid UTF-8 was replaced by U+FFFD",
    Normalisation.NUL_CHARACTER: "strings had NUL characters, replaced by U+FFFD",
    Normalisation.DUPLICATE_KEY: "attributes had a key that occurs again later, and were dropped",
    Normalisation.TOO_DEEP: "lists or maps were nested too deeply, and their content was dropped",
    Normalisation.STRING_TABLE_INDEX: "string table indices outside of profiles were dropped",
    Normalisation.ID_LENGTH: "optional ids had a wrong length, and were dropped",
    Normalisation.METRIC_WITHOUT_DATA: "metrics without data, or with data of an unknown type, were dropped",
    Normalisation.NOTHING_KNOWN: "the request is not empty but has no field of this signal: nothing was stored",
    Normalisation.JSON_SNAKE_CASE: "JSON keys were in snake_case: OTLP/JSON has lowerCamelCase",
    Normalisation.JSON_ENUM_NAME: "JSON enum values were names: OTLP/JSON has integers",
}

_ITEMS: Final = {
    Signal.TRACES: "spans",
    Signal.METRICS: "data points",
    Signal.LOGS: "log records",
    Signal.COSTS: "cost records",
}


def error_message(
    signal: Signal,
    items: int,
    rejected: Mapping[str, int],
    normalised: Mapping[str, int],
    details: Sequence[str] = (),
) -> str:
    """Return `partial_success.error_message` for a request of `items` items; "" if there is nothing to say.

    Counts are exact and reasons a bounded set: the message is at most about 2000 characters. `details`: what is to
    be said of single items, bounded by whoever says it.
    """
    sentences = []
    if rejected:
        reasons = _listed((_REJECTION_TEXTS[reason], count) for reason, count in rejected.items())
        refused = sum(rejected.values())
        sentences.append(f"{refused} of {items} {_ITEMS[signal]} were rejected: {reasons}.")
        sentences += [f"{detail}." for detail in details]
    warnings = [
        (_NORMALISATION_TEXTS[rule], count)
        for rule, count in normalised.items()
        if rule in _NORMALISATION_TEXTS
    ]
    if warnings:
        sentences.append(f"Accepted with changes: {_listed(warnings)}.")
    return " ".join(sentences)


def _listed(counted: Iterable[tuple[str, int]]) -> str:
    """The most frequent first."""
    ordered = sorted(counted, key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{text} ({count})" for text, count in ordered)
