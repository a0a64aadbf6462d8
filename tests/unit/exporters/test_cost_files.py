"""The exporters `focus` and `cost_entry`: files that follow from what was stored, and from nothing else."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from collector.accounting.changed_days import ChangedDays, Day
from collector.accounting.files_exporter import CostFilesExporter
from collector.cost.amount import total
from collector.cost.cost_entry import read_cost_entries
from collector.cost.focus.check import check_file
from collector.cost.protobuf import encode_request
from collector.cost.record import ChargeClass, CostAttributionRecord, CostSource, Period
from collector.exporters.cost_entry.config import CostEntryConfig
from collector.exporters.cost_entry.factory import FACTORY as COST_ENTRY
from collector.exporters.focus.config import FocusConfig
from collector.exporters.focus.factory import FACTORY as FOCUS
from collector.model.errors import PermanentError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Batch, Refused, StartError, State
from tests.support import cost_samples
from tests.support.components import House, make_house
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO

QUEUE = UUID(int=7)
DEFAULTS = {"BillingAccountName": "Example"}
HOURS = [NOW_UNIX_NANO - number * HOUR for number in range(30)]


def ledger(service: str = "cart", **given: Any) -> list[CostAttributionRecord]:
    """The samples, at a price that their costs are the product of."""
    return cost_samples.ledger(service, **{"contracted_unit_price": Decimal("1.00"), **given})


def telemetry(records: Sequence[CostAttributionRecord]) -> Telemetry:
    return Telemetry(Signal.COSTS, encode_request(records), len(records))


def batch(start: int, *requests: Sequence[CostAttributionRecord]) -> Batch:
    return Batch(Signal.COSTS, tuple(map(telemetry, requests)), QUEUE, start, start + len(requests))


@contextmanager
def exporting(directory: Path, **options: Any) -> Iterator[tuple[CostFilesExporter, House]]:
    """An exporter that writes its files when it stops."""
    given: dict[str, Any] = {"interval": 3600.0, "version": "1.4", "columns": DEFAULTS, **options}
    house = make_house("focus", "exporter")
    exporter: Any = FOCUS.create(house.settings, FocusConfig(directory=directory, **given))
    exporter.start()
    try:
        yield exporter, house
    finally:
        exporter.shutdown()


def files(directory: Path) -> dict[str, bytes]:
    """What a consumer sees."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.glob("*/*"))
        if ".ledger" not in path.parts
    }


def rows(directory: Path) -> list[dict[str, str]]:
    return [
        row
        for name, data in files(directory).items()
        if name.endswith(".csv")
        for row in csv.DictReader(io.StringIO(data.decode(), newline=""))
    ]


def cost(found: list[dict[str, str]]) -> Decimal:
    return total(Decimal(row["EffectiveCost"]) for row in found)


def said(house: House) -> tuple[State, str]:
    """How the files were, last."""
    *_, last = [part[1:] for part in house.parts if part[0] == "files" and part[1] is not State.STOPPED]
    return last


def leaves(records: Sequence[CostAttributionRecord]) -> set[str]:
    parents = {record.parent_record_id for record in records}
    return {r.record_id.hex() for r in records if r.record_id not in parents and r.amounts.is_priced}


def test_files_are_by_billing_period_and_day_and_pass_the_checker(tmp_path: Path) -> None:
    """With their metadata beside them; everything once, the finest parts."""
    records = [record for hour in HOURS for record in ledger(start=hour)]
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(0, records))
    found = files(tmp_path)
    assert {name.partition("/")[0] for name in found} == {"BillingPeriod=2026-09-01"}
    assert {name.partition("/")[2] for name in found} == {
        f"2026-09-{day}{suffix}" for day in (20, 21) for suffix in (".csv", ".metadata.json")
    }
    for name, data in found.items():
        if name.endswith(".csv"):
            report = check_file(io.BytesIO(data), name, "1.4")
            assert report.ok(strict=True), report.findings
        else:
            assert json.loads(data)["Schema"][0]["FocusVersion"] == "1.4"
    assert {row["x_RecordId"] for row in rows(tmp_path)} == leaves(records)
    assert cost(rows(tmp_path)) == len(HOURS)


def test_the_same_records_give_the_same_bytes_whatever_their_batches_and_order(tmp_path: Path) -> None:
    """Also when batches come again, in other sizes, after a restart in the middle."""
    records = [record for hour in HOURS[:6] for record in ledger(start=hour)]
    with exporting(tmp_path / "at-once") as (exporter, _):
        exporter.export(batch(0, records))
    shuffled = list(records)
    random.Random(5).shuffle(shuffled)
    position = 0
    for first in (0, 3, 20):
        with exporting(tmp_path / "bit-by-bit") as (exporter, _):
            for at in range(first, len(shuffled), 7):
                exporter.export(batch(position, shuffled[at : at + 7]))
                position += 1
            exporter.export(batch(position - 1, shuffled[-7:]))  # it is there already
    assert files(tmp_path / "at-once") == files(tmp_path / "bit-by-bit")
    with exporting(tmp_path / "at-once") as (exporter, _):
        assert exporter.position(QUEUE) == 1


def test_a_charge_whose_parts_are_not_all_here_is_undivided(tmp_path: Path) -> None:
    """So the sum is right at every moment, and the file passes the checker."""
    origin, pod, idle, *tenants, _ = ledger()
    seen: list[set[str]] = []
    arriving = [[tenants[0]], [origin], [pod], [idle], [tenants[1]]]
    for position, records in enumerate(arriving):
        with exporting(tmp_path) as (exporter, house):
            exporter.export(batch(position, records))
        found = rows(tmp_path)
        seen.append({row["x_RecordId"] for row in found})
        if position:
            assert cost(found) == 1
            [metadata] = [data for name, data in files(tmp_path).items() if name.endswith(".json")]
            assert json.loads(metadata)["x_Rows"].get("Waiting", 0) == (0, 1, 2, 1, 0)[position]
    ids = [record.record_id.hex() for record in (origin, pod, idle, *tenants)]
    # A part alone has a ratio of one half: not all of it.
    assert seen == [set(), {ids[0]}, {ids[0]}, {ids[1], ids[2]}, {*ids[2:]}]
    assert said(house) == (State.OK, "written")


def test_a_revision_replaces_what_it_revises(tmp_path: Path) -> None:
    """The file is issued again; what was in it before is not in it any more."""
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(0, ledger()))
    before = files(tmp_path)
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(1, ledger(revision=1)))
        exporter.export(batch(2, ledger()))  # comes late: it is superseded already
    assert {row["x_Revision"] for row in rows(tmp_path)} == {"1"}
    assert cost(rows(tmp_path)) == 1
    assert files(tmp_path).keys() == before.keys()


def test_a_correction_is_a_row_of_the_period_that_was_open(tmp_path: Path) -> None:
    """The file of the closed period stays as it is, to the byte."""
    october = Period(1_790_812_800 * 10**9, 1_793_491_200 * 10**9)
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(0, ledger()))
    before = files(tmp_path)
    origin = ledger()[0]
    correction = replace(
        origin,
        record_id=bytes(16),
        corrects_record_id=origin.record_id,
        charge=replace(origin.charge, charge_class=ChargeClass.CORRECTION, billing_period=october),
        amounts=cost_samples.amounts("-0.25", "-0.25"),
    )
    with exporting(tmp_path) as (exporter, house):
        exporter.export(batch(1, [correction]))
    assert said(house) == (State.OK, "written")
    after = files(tmp_path)
    assert {name: after[name] for name in before} == before
    assert {name for name in after if name not in before} == {
        f"BillingPeriod=2026-10-01/2026-09-21.{suffix}" for suffix in ("csv", "metadata.json")
    }
    assert {row["ChargeClass"] for row in rows(tmp_path)} == {"", "Correction"}
    assert cost(rows(tmp_path)) == Decimal("0.75")


def test_what_no_file_can_hold_is_refused_alone(tmp_path: Path) -> None:
    """It becomes a dead letter, with what to do; the rest is in the files."""
    good, bad = ledger("good"), ledger("bad", invoice_issuer_name="", service_provider_name="")
    other = ledger("other", start=NOW_UNIX_NANO - HOUR, service_category="Machines")
    refused: list[Refused] = []
    with exporting(tmp_path) as (exporter, _):
        work = batch(0, [*good, *bad], other)
        with pytest.raises(PermanentError, match="InvoiceIssuerName must not be NULL"):
            exporter.export(work)
        exporter.salvage(work, refused.extend)
        assert exporter.position(QUEUE) == 2
    assert cost(rows(tmp_path)) == 1
    assert [(one.record, one.first, one.reason) for one in refused] == [
        *((0, 6 + number, "rejected_by_format") for number in range(5)),
        *((1, number, "rejected_by_format") for number in range(5)),
    ]
    assert "set a default for InvoiceIssuerName" in refused[0].message
    assert "'Machines' is not an allowed value" in refused[5].message


def test_what_a_bill_says_is_written_as_it_is(tmp_path: Path) -> None:
    """It is for its issuer to mend: a warning of the checker's, and no dead letter."""
    billed = [
        replace(record, source=CostSource.INVOICE)
        for record in ledger(service_category="Machines")
        if record.amounts.is_priced
    ]
    with exporting(tmp_path) as (exporter, house):
        exporter.export(batch(0, billed))
    assert said(house) == (State.OK, "written")
    assert {row["ServiceCategory"] for row in rows(tmp_path)} == {"Machines"}


def test_rows_that_contradict_each_other_keep_the_file_as_it_was(tmp_path: Path) -> None:
    """The state says why; when they do not any more, the file is written."""
    other = ledger("other", service_category="Databases", service_subcategory="Caching")
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(0, ledger()))
    before = files(tmp_path)
    with exporting(tmp_path) as (exporter, house):
        exporter.export(batch(1, other))
    assert files(tmp_path) == before
    state, message = said(house)
    assert state is State.DEGRADED
    assert "the file of 2026-09-01_2026-09-21 is as it was" in message
    assert "'Databases' for ServiceName 'Machines'" in message
    with exporting(tmp_path) as (exporter, house):
        exporter.export(batch(2, ledger("other", revision=1)))
    assert said(house) == (State.OK, "written")
    assert cost(rows(tmp_path)) == 2


def test_other_settings_write_everything_again(tmp_path: Path) -> None:
    """No file of the settings before is left beside."""
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(0, *(ledger(start=hour) for hour in HOURS)))
    with exporting(tmp_path, version="1.2", format="parquet"):
        pass
    found = files(tmp_path)
    assert {name.rpartition(".")[2] for name in found} == {"parquet", "json"}
    for name, data in found.items():
        if name.endswith(".parquet"):
            report = check_file(io.BytesIO(data), name, "1.2")
            assert report.ok(), report.findings
    with exporting(tmp_path):
        pass
    assert {name.rpartition(".")[2] for name in files(tmp_path)} == {"csv", "json"}


def test_nothing_is_written_of_what_has_no_price(tmp_path: Path) -> None:
    """FOCUS has no place for it, and 0 would be a lie."""
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(0, ledger()[-1:]))
    assert files(tmp_path) == {}


def test_cost_entries_are_lines_that_come_in_again(tmp_path: Path) -> None:
    """Of the finest parts."""
    records = ledger()
    exporter: Any = COST_ENTRY.create(
        make_house("cost_entry", "exporter").settings, CostEntryConfig(directory=tmp_path)
    )
    exporter.start()
    exporter.export(batch(0, records))
    exporter.shutdown()
    [data] = files(tmp_path).values()
    bill = read_cost_entries(io.BytesIO(data), "t")
    assert {record.record_id.hex() for record in bill.records()} == leaves(records)
    assert total(Decimal(json.loads(line)["tags"]["collector.amount"]) for line in data.splitlines()) == 1


def test_a_change_that_comes_while_a_file_is_written_is_not_forgotten(tmp_path: Path) -> None:
    """Nor is one that a crash interrupted."""
    day = Day.of(NOW_UNIX_NANO, NOW_UNIX_NANO)
    changed = ChangedDays(tmp_path / "changed")
    assert changed.marked() == {}
    changed.mark([day])
    assert changed.marked() == {day: True}
    changed.begin(day)
    assert ChangedDays(tmp_path / "changed").marked() == {day: False}
    changed.mark([day])
    changed.done(day)
    assert changed.marked() == {day: True}
    changed.begin(day)
    changed.done(day)
    assert changed.marked() == {}


def test_a_folder_that_cannot_be_made_is_said_at_the_start(tmp_path: Path) -> None:
    """With the path."""
    (tmp_path / "file").write_text("")
    exporter: Any = FOCUS.create(
        make_house("focus", "exporter").settings, FocusConfig(directory=tmp_path / "file" / "costs")
    )
    with pytest.raises(StartError, match=r"cannot make the folder .*file/costs"):
        exporter.start()
    exporter.shutdown()


@pytest.mark.parametrize(
    ("options", "place", "remedy"),
    [
        (
            {"columns": {"BillingAcountId": "1"}},
            "columns.BillingAcountId",
            "did you mean 'BillingAccountId'?",
        ),
        ({"columns": {"BillingAccountId": " "}}, "columns.BillingAccountId", "leave it out"),
        ({"columns": {"AllocatedTags": "x"}}, "columns.AllocatedTags", "is not a column of FOCUS 1.2"),
    ],
)
def test_focus_options_are_checked(options: Any, place: str, remedy: str, tmp_path: Path) -> None:
    """Each at its place."""
    [invalid] = FocusConfig(directory=tmp_path, **options).validate()
    assert invalid.key == place
    assert remedy in invalid.message


def test_cost_entry_options_are_checked(tmp_path: Path) -> None:
    """Each at its place."""
    config = CostEntryConfig(directory=tmp_path, categories={"Computing": "compute", "Compute": "computing"})
    found = {invalid.key: invalid.message for invalid in config.validate()}
    assert "'Compute'" in found["categories.Computing"]
    assert "'compute'" in found["categories.Compute"]
