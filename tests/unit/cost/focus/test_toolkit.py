"""Files of another hand in, and another hand's opinion of ours: focus-data-toolkit (MIT), if it is installed."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import pytest

from collector.cost.amount import total
from collector.cost.focus.check import check_file
from collector.cost.focus.read import read_focus
from collector.cost.focus.rows import FocusOptions, FocusRows
from collector.cost.focus.write_csv import csv_chunks
from collector.cost.focus.write_parquet import write_parquet
from collector.cost.record import AMOUNTS, Amounts, CostAttributionRecord, Level
from tests.support.focus_toolkit import PROVIDERS, VERSIONS, generate, require, toolkit
from tests.support.ledger import ledger

require()
ROWS = 120


@pytest.fixture(scope="module", params=[(p, v) for p in PROVIDERS for v in VERSIONS], ids=str)
def generated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """FOCUS version, and a file that the toolkit has made."""
    provider, version = request.param
    path = generate(tmp_path_factory.mktemp("generated"), provider, version, rows=ROWS)
    return version, path.read_bytes()


def records_of(data: bytes) -> list[CostAttributionRecord]:
    return list(read_focus(io.BytesIO(data), "bill").records())


def columns(amounts: Amounts, known: Amounts | None = None) -> dict[str, Decimal | None]:
    """What is there, or in `known`: FOCUS 1.0 has no PricingCurrencyEffectiveCost, and later versions want one."""
    names = [name for name in AMOUNTS if getattr(known or amounts, name) is not None]
    return {name: getattr(amounts, name) for name in names}


@pytest.mark.parametrize("target", ["1.2", "1.4"])
def test_a_generated_file_in_and_out_again_has_the_same_sums_per_charge(
    generated: tuple[str, bytes], target: str
) -> None:
    """In every metric, to the last digit; and our file passes our checker."""
    version, data = generated
    records = records_of(data)
    lines = [record for record in records if record.level is Level.ALLOCATION]
    assert (version in {"1.3", "1.4"}) == bool(lines)
    split = {record.parent_record_id for record in lines}
    assert len(records) - len(split) == ROWS
    out = b"".join(csv_chunks(FocusRows(records, FocusOptions(version=target))))
    again = {record.record_id: record for record in records_of(out)}
    assert again.keys() == {record.record_id for record in records}
    for record in records:
        assert columns(again[record.record_id].amounts, record.amounts) == columns(record.amounts)
        assert again[record.record_id].subject == record.subject
    for name in AMOUNTS:
        amounts = [getattr(r.amounts, name) for r in records if r.level is Level.ORIGIN]
        parts = [getattr(r.amounts, name) for r in again.values() if r.record_id not in split]
        if any(amount is not None for amount in amounts):
            assert total(a for a in amounts if a is not None) == total(a for a in parts if a is not None)
    report = check_file(io.BytesIO(out), "out.csv", target, as_billed=True)
    # 1.0 does not know how much of a commitment was used, and neither do we.
    lacking = {"CommitmentDiscountQuantity"} if version == "1.0" else set()
    assert report.ok()
    assert {finding.column for finding in report.findings} == lacking
    assert report.ok(strict=not lacking)
    assert check_file(io.BytesIO(out), "out.csv", target).ok() is not bool(lacking)


def test_our_checker_and_the_toolkit_agree_on_generated_files(generated: tuple[str, bytes]) -> None:
    """But for tags that are in AllocatedTags and in Tags, which FOCUS forbids and the toolkit writes."""
    version, data = generated
    report = check_file(io.BytesIO(data), "bill.csv", version)
    assert {finding.rule for finding in report.findings} <= {"allocated-tags"}


def test_the_toolkit_finds_nothing_in_our_file(tmp_path: Path) -> None:
    """Its FOCUS 1.4 linter, on a ledger with one of each kind of charge."""
    path = tmp_path / "ours.csv"
    path.write_bytes(b"".join(csv_chunks(FocusRows(ledger()))))
    done = toolkit("validate", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SEMANTIC_VALID" in done.stdout
    # It can tell a wrong file: one ListCost that is not price times quantity.
    path.write_bytes(path.read_bytes().replace(b"0.390639,3.0,Standard", b"0.39,3.0,Standard"))
    assert toolkit("validate", path).returncode != 0


def test_csv_and_parquet_of_a_generated_file_are_the_same_records(generated: tuple[str, bytes]) -> None:
    """The form of the file makes no difference."""
    records = records_of(generated[1])
    parquet = io.BytesIO()
    write_parquet(FocusRows(records), parquet)
    from_csv = records_of(b"".join(csv_chunks(FocusRows(records))))
    assert sorted(records_of(parquet.getvalue()), key=lambda r: r.record_id) == sorted(
        from_csv, key=lambda r: r.record_id
    )
