"""Bills of another hand through every store: imported, reconciled, exported and imported again, equal charge by charge.

The files are focus-data-toolkit's, read here by csv and pyarrow, not by ours.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from collector.accounting.bills import BilledBeforeError, import_bill, reconcile_bill
from collector.accounting.book import Book
from collector.accounting.export import records_of, write_focus
from collector.cost.amount import add, multiply
from collector.cost.focus.read import read_focus
from collector.cost.focus.rows import FocusOptions
from collector.cost.parts import split_amounts
from collector.cost.record import (
    COSTS,
    ChargeCategory,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    Subject,
    SubjectKind,
)
from collector.cost.rows import origin_row, part_row
from collector.storage.store import Store, open_store
from tests.support.focus_toolkit import generate, require

require()
pq = pytest.importorskip(
    "pyarrow.parquet", reason="pyarrow is not installed: pip install 'collector[parquet]'"
)

ROWS: Final = 40
# All providers and all versions; tests/unit/cost/focus has each with each.
BILLS: Final = (
    ("aws", "1.0"), ("azure", "1.1"), ("gcp", "1.2"), ("aws", "1.3"), ("azure", "1.3"), ("gcp", "1.4"), ("aws", "1.4")
)  # fmt: skip
OUT: Final = (("1.2", "csv"), ("1.2", "parquet"), ("1.3", "csv"), ("1.4", "csv"), ("1.4", "parquet"))
EVER: Final = Period(
    1_777_507_200 * 10**9, 1_780_358_400 * 10**9
)  # May 2026, of which all bills are, and two days
COST_COLUMNS: Final = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
# What tells charges apart that were made by different hands, as columns of a file and as fields of a charge.
KEY: Final = {
    "ResourceId": "resource_id",
    "SubAccountId": "sub_account_id",
    "SkuId": "sku_id",
    "SkuMeter": "sku_meter",
}
PERIOD: Final = ("ChargePeriodStart", "ChargePeriodEnd", "BillingCurrency")
# And what tells a bill's own charges apart.
CHARGE: Final = (
    *PERIOD, *KEY, "SkuPriceId", "ChargeCategory", "ChargeClass", "ChargeDescription", "InvoiceId", "RegionId",
    "CommitmentDiscountId", "CommitmentDiscountStatus", "PricingCategory", "Tags",
)  # fmt: skip
Sums = dict[tuple[str, ...], list[Decimal]]


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Bills by provider and version."""
    return {
        (provider, version): generate(
            tmp_path_factory.mktemp("bill"), provider, version, rows=ROWS, seed=10 + number
        )
        for number, (provider, version) in enumerate(BILLS)
    }


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    with path.open(newline="", encoding="utf-8") as source:
        return list(csv.DictReader(source))


def text(value: Any) -> str:
    """A cell, whatever the form of the file; the order of keys in JSON says nothing."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    cell = str(value or "")
    return json.dumps(json.loads(cell), sort_keys=True) if cell.startswith("{") else cell


def sums(rows: Iterable[Mapping[str, Any]], names: tuple[str, ...]) -> Sums:
    """The four costs by `names`."""
    found: Sums = {}
    for row in rows:
        known = found.setdefault(tuple(text(row.get(name)) for name in names), [Decimal(0)] * 4)
        known[:] = [add(sum_, Decimal(row[name])) for sum_, name in zip(known, COST_COLUMNS, strict=True)]
    return found


def exported(store: Store, path: Path, version: str) -> Path:
    """Everything in the ledger, as a file that our checker accepts."""
    written = write_focus(
        records_of(Book(store), EVER), path, FocusOptions(version=version), parquet=path.suffix == ".parquet"
    )
    assert written.unpriced == 0
    return written.path


def estimates_of(path: Path) -> list[CostAttributionRecord]:
    """What a price book might have said of a bill: too much, for two thirds of it, and one thing that is not billed."""
    with path.open("rb") as stream:
        charges = [
            record for record in read_focus(stream, path.name).records() if record.level is Level.ORIGIN
        ]
    usage = [
        record
        for record in charges
        if record.charge.charge_category is ChargeCategory.USAGE
        and "CommitmentDiscountId" not in record.charge.columns
    ]
    groups = sorted({thing(record) for record in usage})
    known = {group for number, group in enumerate(groups) if number % 3}
    made = []
    for record in usage:
        if thing(record) in known:
            made += _estimate(record, "1.137")
    dearest = max(usage, key=lambda record: record.amounts.billed_cost or 0)
    made += _estimate(replace(dearest, charge=replace(dearest.charge, resource_id="nobody's")), "1")
    return made


def thing(record: CostAttributionRecord) -> tuple[str, ...]:
    return tuple(getattr(record.charge, name) for name in KEY.values())


def _estimate(record: CostAttributionRecord, factor: str) -> list[CostAttributionRecord]:
    charge, amounts = record.charge, record.amounts
    if amounts.pricing_quantity is not None and charge.list_unit_price is not None:
        price = multiply(round(charge.list_unit_price, 4), Decimal(factor))
        cost = multiply(price, round(amounts.pricing_quantity, 6))
        amounts = replace(
            amounts, pricing_quantity=round(amounts.pricing_quantity, 6), **dict.fromkeys(COSTS, cost)
        )
        charge = replace(charge, list_unit_price=price, contracted_unit_price=price)
    else:
        costs = {name: multiply(round(getattr(amounts, name), 12), Decimal(factor)) for name in COSTS}
        amounts = replace(amounts, **costs)
    origin = origin_row(
        charge=replace(charge, invoice_id=""),
        amounts=amounts,
        source=CostSource.PRICE_BOOK,
        identity=("estimate", record.origin_id, charge.resource_id),
        rule_id="estimates",
    )
    subjects = [Subject(kind=SubjectKind.WORKLOAD, team=team) for team in ("a", "b", "c")]
    subjects.append(Subject(kind=SubjectKind.IDLE))
    keys = [subject.key for subject in subjects]
    shares = split_amounts(origin.charge, origin.amounts, (3, 3, 1, 2), keys) or []
    parts = [
        part_row(origin, subject=subject, amounts=part, rule_id="estimates", rule_version=0, method_id="even")
        for subject, part in zip(subjects, shares, strict=True)
    ]
    return [origin, *parts]


def test_a_bill_of_another_hand_in_and_out_and_in_again(
    store: Store, tmp_path: Path, bills: Mapping[tuple[str, str], Path]
) -> None:
    """All in one ledger: each charge has its costs, to the last digit, in every version out, as CSV and as Parquet."""
    expected = sums((row for path in bills.values() for row in rows_of(path)), CHARGE)
    for path in bills.values():
        imported = import_bill(store, path)
        assert imported.stored == imported.manifest.records >= imported.manifest.rows == ROWS
    for version, form in OUT:
        out = exported(store, tmp_path / f"out-{version}.{form}", version)
        assert sums(rows_of(out), CHARGE) == expected
    with closing(open_store(f"sqlite:///{tmp_path / 'other.db'}")) as other:
        other.migrate()
        assert import_bill(other, out).stored == len(Book(store).read(EVER))
        assert sums(rows_of(exported(other, tmp_path / "again.csv", "1.4")), CHARGE) == expected
        assert import_bill(other, out).stored == 0


def test_a_bill_that_has_grown_is_refused_and_reconciled(
    store: Store, tmp_path: Path, bills: Mapping[tuple[str, str], Path]
) -> None:
    """As a provider writes it every day: the charges of before are there again, with an invoice now, and one is dearer."""
    path = bills["gcp", "1.2"]
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    early = tmp_path / "early.csv"
    with early.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "InvoiceId": ""} for row in rows[: ROWS // 2])
    assert import_bill(store, early).stored == ROWS // 2
    before = Book(store).read(EVER)
    known = sum(bool(Decimal(row["EffectiveCost"])) for row in rows[: ROWS // 2])
    with pytest.raises(
        BilledBeforeError, match=rf"{known} charges .* twice; `collector cost reconcile {path.name}`"
    ):
        import_bill(store, path)
    assert Book(store).read(EVER) == before
    assert import_bill(store, path, again=True, dry_run=True).stored == ROWS
    reconcile_bill(store, path, match=tuple(KEY.values()), now_unix_nano=1)
    out = exported(store, tmp_path / "out.csv", "1.4")
    names = (*PERIOD, *KEY)
    assert sums(rows_of(out), names) == sums(rows, names)


def test_a_file_with_other_amounts_of_the_same_charges_is_refused(store: Store, tmp_path: Path) -> None:
    """Those of a CUR have ids, and would be passed over."""
    line = {
        "identity_line_item_id": "n", "bill_payer_account_id": "1", "bill_billing_period_start_date": "2026-09-01T00:00:00Z",
        "bill_billing_period_end_date": "2026-10-01T00:00:00Z", "line_item_usage_start_date": "2026-09-15T00:00:00Z",
        "line_item_usage_end_date": "2026-09-15T01:00:00Z", "line_item_line_item_type": "Usage",
        "line_item_currency_code": "USD", "line_item_unblended_cost": "1.0", "line_item_product_code": "AmazonEC2",
    }  # fmt: skip
    paths = []
    for cost in ("1.0", "2.0"):
        paths.append(tmp_path / f"cur-{cost}.csv")
        with paths[-1].open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(line))
            writer.writeheader()
            writer.writerow({**line, "line_item_unblended_cost": cost})
    assert import_bill(store, paths[0]).stored == 1
    assert import_bill(store, paths[0]).stored == 0
    with pytest.raises(BilledBeforeError, match="1 charges are stored with other amounts"):
        import_bill(store, paths[1])


def test_estimates_are_settled_with_bills_of_another_hand(
    store: Store, tmp_path: Path, bills: Mapping[tuple[str, str], Path]
) -> None:
    """What was estimated and what was not comes out as it is billed, charge by charge; what is not billed is taken back."""
    book, match = Book(store), tuple(KEY.values())
    billed = [bills[which] for which in (("aws", "1.0"), ("azure", "1.3"), ("gcp", "1.4"))]
    for path in billed:
        assert book.write(estimates_of(path), book.page())
    for path in billed:
        done = reconcile_bill(store, path, match=match, now_unix_nano=1)
        assert any(line.delta for line in done.report if line.estimates and line.bills)
        assert any(line.actual for line in done.report if not line.estimates)
        assert any(line.estimated for line in done.report if not line.bills)
    for path in billed:
        assert reconcile_bill(store, path, match=match, now_unix_nano=2).records == ()
    names = (*PERIOD, *KEY)
    expected = sums((row for path in billed for row in rows_of(path)), names)
    for version, form in OUT:
        found = sums(rows_of(exported(store, tmp_path / f"out-{version}.{form}", version)), names)
        back = {key: costs for key, costs in found.items() if "nobody's" in key}
        assert len(back) == len(billed)
        assert all(costs == [0, 0, 0, 0] for costs in back.values())
        assert {key: costs for key, costs in found.items() if key not in back} == expected
