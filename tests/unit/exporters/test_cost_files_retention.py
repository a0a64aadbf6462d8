"""How long exporters of costs to files keep records, and that files of periods that are over stay as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest

from collector.accounting.files_exporter import CostFilesExporter
from collector.accounting.finished_periods import FinishedPeriods
from collector.config.types import Duration
from collector.cost.record import ChargeClass, CostAttributionRecord, Period
from collector.exporters.focus.config import FocusConfig
from collector.exporters.focus.factory import FACTORY as FOCUS
from collector.model.errors import PermanentError
from collector.pipeline.component import Refused
from collector.storage.sqlite.store import SqliteStore
from tests.support.components import House, make_house
from tests.support.cost_samples import NOW_UNIX_NANO
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.unit.exporters.test_cost_files import DEFAULTS, QUEUE, batch, exporting, files, ledger, rows

DAY_NS: Final = 86_400 * 10**9
SEPTEMBER_ENDS: Final = 1_790_812_800 * 10**9
OVER: Final = SEPTEMBER_ENDS + 398 * DAY_NS  # November 2027
NOVEMBER: Final = Period(1_825_027_200 * 10**9, 1_827_619_200 * 10**9)
DELETED: Final = {"exporter": "focus", "otel_signal": "costs", "reason": "retention"}


@contextmanager
def later(
    directory: Path, at: int = OVER, *, quiet: bool = True, **options: Any
) -> Iterator[tuple[CostFilesExporter, House]]:
    """An exporter at another time, that looks what is over as soon as it has started."""
    for path in directory.glob("BillingPeriod=*/*") if quiet else ():
        os.utime(path, (NOW_UNIX_NANO / 1e9,) * 2)
    house = make_house("focus", "exporter", clock=FakeClock(unix_nano=at))
    given: dict[str, Any] = {"interval": 0.01, "version": "1.4", "columns": DEFAULTS, **options}
    exporter: Any = FOCUS.create(house.settings, FocusConfig(directory=directory, **given))
    exporter.start()
    try:
        yield exporter, house
    finally:
        exporter.shutdown()


def kept(directory: Path) -> int:
    """How many records the ledger has."""
    tables = ("otlp_cost_origins", "otlp_cost_allocations", "otlp_cost_requests")
    with closing(SqliteStore(directory / ".ledger" / "costs.db")) as store:
        return sum(store.query(f"SELECT count(*) FROM {table}").rows[0][0] for table in tables)


def finished(directory: Path) -> frozenset[date]:
    return FinishedPeriods(directory / ".ledger" / "finished").all()


def looked(exporter: CostFilesExporter) -> None:
    """Wait until files were written and it is looked, for the first time, what is over."""
    eventually(lambda: exporter._finish_at > 0, what="a turn")


def billed_in_november(record: CostAttributionRecord) -> CostAttributionRecord:
    charge = replace(record.charge, charge_class=ChargeClass.CORRECTION, billing_period=NOVEMBER)
    return replace(record, record_id=bytes(15) + b"n", corrects_record_id=record.record_id, charge=charge)


def test_a_period_that_is_over_is_final(tmp_path: Path) -> None:
    """Its records are gone, its files stay to the byte, whatever comes; what comes in other periods is written."""
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(0, ledger("cart"), ledger("order")))
    before, records = files(tmp_path), kept(tmp_path)
    assert records == 12
    with later(tmp_path) as (exporter, house):
        eventually(lambda: kept(tmp_path) == 0, what="an empty ledger")
        assert finished(tmp_path) == {date(2026, 9, 1)}
        assert house.sample("collector_store_deleted_items_total", **DELETED) == records
        exporter.export(batch(2, ledger("cart", revision=1), [billed_in_november(ledger()[0])]))
        assert exporter.position(QUEUE) == 4
        assert house.sample("collector_store_deleted_items_total", **DELETED) == records + 6
        assert house.log.messages("warning") == [
            "Costs of billing periods whose files are final were left out."
        ]
        eventually(lambda: len(files(tmp_path)) == len(before) + 2, what="the file of the correction")
    after = files(tmp_path)
    assert {name: after[name] for name in before} == before
    assert {row["ChargeClass"] for row in rows(tmp_path)} == {"", "Correction"}
    with later(tmp_path, version="1.2") as (exporter, _):
        looked(exporter)
    again = files(tmp_path)
    assert {name: again[name] for name in before} == before, "they cannot be written in another version"
    assert {name for name in again if again[name] != after[name]} == set(after) - set(before)


@pytest.mark.parametrize(
    ("at", "options", "quiet"),
    [
        (SEPTEMBER_ENDS + 397 * DAY_NS, {}, True),
        (OVER, {"retention": Duration(0.0)}, True),
        (OVER, {"retention": Duration.parse("400d")}, True),
        (OVER, {}, False),
    ],
    ids=["not yet", "for ever", "longer", "written lately"],
)
def test_what_is_not_over_stays(tmp_path: Path, at: int, options: dict[str, Any], quiet: bool) -> None:
    """Its files are still written again."""
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(0, ledger()))
    for path in tmp_path.glob("BillingPeriod=*/*"):
        os.utime(path, ((at - DAY_NS // 2) / 1e9,) * 2)
    with later(tmp_path, at, quiet=quiet, **options) as (exporter, _):
        if options != {"retention": 0}:
            looked(exporter)
    assert finished(tmp_path) == frozenset()
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(1, ledger("order")))
    assert (kept(tmp_path), len(rows(tmp_path))) == (12, 6)


def test_a_period_with_a_day_that_waits_is_not_over(tmp_path: Path) -> None:
    """Its rows contradict each other, so the file is not what the ledger says."""
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(0, ledger()))
        exporter.export(
            batch(1, ledger("other", service_category="Databases", service_subcategory="Caching"))
        )
    with later(tmp_path) as (exporter, _):
        looked(exporter)
        exporter.export(batch(2, ledger("other", revision=1)))
        eventually(lambda: len(rows(tmp_path)) == 6, what="the rows of both")
    assert finished(tmp_path) == frozenset()


def test_what_a_crash_left_is_deleted_and_not_written(tmp_path: Path) -> None:
    """Finished, and killed in the middle of deleting: half a day must not become its file."""
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(0, ledger("cart"), ledger("order")))
    before = files(tmp_path)
    FinishedPeriods(tmp_path / ".ledger" / "finished").add([date(2026, 9, 1)])
    with closing(SqliteStore(tmp_path / ".ledger" / "costs.db")) as store:
        store.delete_billed(0, 1)
        with store._connections.writing("test") as connection:
            connection.execute("DELETE FROM otlp_cost_requests")
    (tmp_path / ".ledger" / "changed" / "2026-09-01_2026-09-21").touch()
    with later(tmp_path, NOW_UNIX_NANO):
        eventually(lambda: kept(tmp_path) == 0, what="an empty ledger")
    assert files(tmp_path) == before


def test_what_was_encoded_before_is_left_out_too(tmp_path: Path) -> None:
    """The batch had been prepared when its period was still open; and a batch is salvaged without it."""
    with exporting(tmp_path) as (exporter, _):
        exporter.export(batch(0, ledger("cart")))
    before = files(tmp_path)
    with later(tmp_path, SEPTEMBER_ENDS + 396 * DAY_NS) as (exporter, _):
        late, bad = batch(2, ledger("late")), ledger("bad", invoice_issuer_name="", service_provider_name="")
        looked(exporter)
        exporter.prepare(late)
        exporter.export(batch(1, []))
        exporter._finished.add([date(2026, 9, 1)])
        exporter.export(late)
        mixed = batch(3, [billed_in_november(bad[0])], ledger("later"))
        refused: list[Refused] = []
        with pytest.raises(PermanentError, match="InvoiceIssuerName"):
            exporter.export(mixed)
        exporter.salvage(mixed, refused.extend)
        assert [one.record for one in refused] == [0]
        assert exporter.position(QUEUE) == 5
        assert kept(tmp_path) in (0, 6)
    assert files(tmp_path) == before


def test_a_retention_within_which_periods_change_is_an_error(tmp_path: Path) -> None:
    """With the least."""
    config = FocusConfig(directory=tmp_path, retention=Duration.parse("30d"))
    [problem] = config.validate()
    assert (problem.key, "set 31d or more, or 0" in problem.message) == ("retention", True)
    assert list(FocusConfig(directory=tmp_path, retention=Duration.parse("31d")).validate()) == []
