"""Cost records on arrival: what is refused one by one, what is mended, and what the sender is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from collector.cost.protobuf import encode_request, from_proto
from collector.model.errors import PermanentError
from collector.model.signal import OPENTELEMETRY, Signal
from collector.wire.costs import FUTURE_NS, PAST_NS
from collector.wire.json_encode import encode_json
from collector.wire.rules import Normalisation, Rejection
from collector.wire.scan import ScanLimits, Scanned, scan_json, scan_protobuf
from collector.wire.split import split
from tests.support import samples
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, ledger

# A day into the past, for telemetry: bills are older.
LIMITS = ScanLimits(now_unix_nano=NOW_UNIX_NANO, past_ns=24 * HOUR, future_ns=HOUR)


def scan(request: Any) -> Scanned:
    return scan_protobuf(Signal.COSTS, request.SerializeToString(), LIMITS)


def spoiled(spoil: Callable[[Any], None]) -> Scanned:
    """The sample ledger, in which `spoil` has had its way with the third record."""
    request = samples.costs()
    spoil(request.records[2])
    return scan(request)


def test_records_in_order_are_taken_as_they_are() -> None:
    """The payload is the body itself."""
    body = encode_request(ledger())
    scanned = scan_protobuf(Signal.COSTS, body, LIMITS)
    assert scanned.telemetry.payload is body
    assert (scanned.telemetry.items, scanned.message) == (6, "")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("effective_cost", "NaN", "is not a decimal number"),
        ("effective_cost", "1e3", "is not a decimal number"),
        ("billed_cost", "+1", "is not a decimal number"),
        ("list_cost", "1,000", "is not a decimal number"),
        ("list_cost", "0." + "1" * 19, "18 decimals"),
        ("contracted_cost", "1" * 21, "20 digits"),
        ("billed_cost", "", "is absent"),
        ("billing_currency", "usd", "write USD"),
        ("billing_currency", "", "ISO 4217"),
        ("charge_period_end_unix_nano", NOW_UNIX_NANO, "no time in it"),
        ("record_id", b"short", "is 5 bytes, expected 16 (in JSON 32 hexadecimal digits)"),
        ("record_id", b"", "is 0 bytes"),
        ("origin_id", b"", "is 0 bytes"),
        ("parent_record_id", b"", "is 0 bytes"),
        ("charge_category", 9, "is none of"),
        ("level", 3, "is none of"),
    ],
)
def test_an_invalid_record_is_refused_alone_and_its_field_named(field: str, value: Any, words: str) -> None:
    """The five others are kept, in their order."""
    scanned = spoiled(lambda record: setattr(record, field, value))
    assert scanned.rejected == {Rejection.INVALID_RECORD: 1}
    assert scanned.telemetry.items == 5
    kept: Any = scanned.telemetry.parse()
    assert [from_proto(record) for record in kept.records] == [*ledger()[:2], *ledger()[3:]]
    assert scanned.message.startswith("1 of 6 cost records were rejected: the record is not valid (1).")
    assert f"records[2].{field}" in scanned.message
    assert words in scanned.message


def test_only_the_first_reasons_are_told() -> None:
    """However many there are, and however long."""
    request = samples.costs()
    for record in request.records:
        record.billing_currency = "X" * 10_000
    for _ in range(7):
        request.MergeFromString(request.SerializeToString())
    scanned = scan(request)
    assert scanned.rejected_items == 768
    assert len(scanned.message) < 2000


@pytest.mark.parametrize("start", [1, NOW_UNIX_NANO - PAST_NS - 1, NOW_UNIX_NANO + FUTURE_NS + 1, 2**63])
def test_a_period_far_from_now_is_refused(start: int) -> None:
    """It would make a store keep a partition for every day that a clock dreams of."""

    def spoil(record: Any) -> None:
        record.charge_period_start_unix_nano, record.charge_period_end_unix_nano = start, start + 1

    assert spoiled(spoil).rejected == {Rejection.TIME_OUT_OF_WINDOW: 1}


def test_a_bill_of_years_ago_is_taken() -> None:
    """The window of telemetry is not that of costs."""
    body = encode_request(ledger(start=NOW_UNIX_NANO - 6 * 365 * 24 * HOUR))
    assert scan_protobuf(Signal.COSTS, body, LIMITS).telemetry.items == 6


def test_nul_characters_are_replaced_everywhere() -> None:
    """In texts, in keys and values of maps, in what is nested."""

    def spoil(record: Any) -> None:
        record.charge_description = "a\0b"
        record.subject.team = "\0"
        record.tags["k\0"] = "v\0"
        record.allocated_elements[0].usage_unit = "\0"

    scanned = spoiled(spoil)
    assert scanned.normalised == {Normalisation.NUL_CHARACTER: 4}
    assert b"\0k" not in scanned.telemetry.payload
    kept: Any = scanned.telemetry.parse()
    assert kept.records[2].charge_description == "a\ufffdb"
    assert kept.records[2].tags["k\ufffd"] == "v\ufffd"


def test_invalid_utf8_is_replaced_and_the_rest_is_kept() -> None:
    """One text costs nobody the request."""
    body = encode_request(ledger()).replace("☃".encode(), b"\xff\xfe\xfd")
    scanned = scan_protobuf(Signal.COSTS, body, LIMITS)
    assert scanned.telemetry.items == 6
    assert Normalisation.INVALID_UTF8 in scanned.normalised


def test_json_has_hexadecimal_ids_decimal_texts_and_objects_for_maps() -> None:
    """The manners of OTLP/JSON, and protobuf's for maps."""
    request = samples.costs()
    body = encode_json(Signal.COSTS, request)
    first = json.loads(body)["records"][0]
    assert first["recordId"] == ledger()[0].record_id.hex()
    assert first["effectiveCost"] == "1"
    assert first["tags"] == {"env": "prod", "☃": ""}
    assert first["chargePeriodStartUnixNano"] == str(NOW_UNIX_NANO)
    scanned = scan_json(Signal.COSTS, body, LIMITS)
    assert scanned.telemetry.parse() == request


@pytest.mark.parametrize(
    ("tags", "where"), [("[]", "records[0].tags"), ('{"a":1}', "records[0].tags.a"), ('{"a":null}', "tags.a")]
)
def test_json_maps_of_something_else_are_refused(tags: str, where: str) -> None:
    """With the place."""
    with pytest.raises(PermanentError) as caught:
        scan_json(Signal.COSTS, f'{{"records":[{{"tags":{tags}}}]}}'.encode(), LIMITS)
    assert where in str(caught.value)


def test_an_amount_that_is_a_json_number_is_refused() -> None:
    """A JSON number is a double to most who read it."""
    with pytest.raises(PermanentError, match=r"records\[0\].effectiveCost is a number, not a string"):
        scan_json(Signal.COSTS, b'{"records":[{"effectiveCost":1.1}]}', LIMITS)


@pytest.mark.parametrize("other", OPENTELEMETRY)
def test_costs_do_not_pass_for_telemetry_nor_telemetry_for_costs(other: Signal) -> None:
    """Both get a hint at the right path."""
    with pytest.raises(PermanentError, match=f"it is a request of {other.value}"):
        scan_protobuf(Signal.COSTS, samples.sample(other).SerializeToString(), LIMITS)
    with pytest.raises(PermanentError):
        scan_protobuf(other, encode_request(ledger()), LIMITS)


def test_split_keeps_the_order_and_every_record() -> None:
    """Costs have no envelopes."""
    telemetry = scan(samples.costs()).telemetry
    pieces = split(telemetry, 4)
    assert [piece.items for piece in pieces] == [4, 2]
    assert b"".join(piece.payload for piece in pieces) == telemetry.payload


def test_amounts_are_not_changed_by_the_scan() -> None:
    """Not even to the canonical spelling: the bytes are the client's."""
    scanned = spoiled(lambda record: setattr(record, "effective_cost", "00.50"))
    kept: Any = scanned.telemetry.parse()
    assert kept.records[2].effective_cost == "00.50"
    assert from_proto(kept.records[2]).amounts.effective_cost == Decimal("0.5")
