"""Attribution runs, bills and exports over a real store, of every kind. All costs must add up."""

from __future__ import annotations

import csv
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.accounting.attribution import Attribution, WindowReport
from collector.accounting.bills import ReconciledError, import_bill, reconcile_bill
from collector.accounting.book import Book, leaves
from collector.accounting.export import records_of, write_focus
from collector.config.load import load
from collector.config.sources import Surroundings
from collector.cost.amount import multiply, total
from collector.cost.config import CostConfig, load_costs
from collector.cost.focus.bill import BillError
from collector.cost.focus.rows import FocusOptions
from collector.cost.record import (
    COSTS,
    ChargeClass,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
)
from collector.cost.rows import origin_row
from collector.cost.window import WindowState
from collector.model.signal import Signal
from collector.storage.store import Store, store_for
from tests.support.daemon import ROOT
from tests.support.fake_clock import FakeClock
from tests.support.otlp_builder import (
    counter,
    gauge,
    metrics_request,
    number_point,
    span,
    spans_request,
)
from tests.support.stores import put

SECOND: Final = 10**9
HOUR: Final = 3600 * SECOND
START: Final = 1_790_000_000 * SECOND // HOUR * HOUR  # 2026-09-21
DAY: Final = Period(START, START + 24 * HOUR)
PRICES: Final = ROOT / "collector/demo/costs.yaml"
GIB: Final = 2**30
MATCH: Final = ("resource_id", "sku_meter")


def config() -> CostConfig:
    return load_costs(load([str(PRICES)], ["cost.window=1h", "cost.lateness=15m"], Surroundings({})))


def clock(after: int = 26 * HOUR) -> FakeClock:
    return FakeClock(unix_nano=START + after)


def telemetry(store: Store, *, hours: int = 2, pods: int = 2, part: str = "all") -> None:
    """A node with pods that answer requests and call a model. `part`: `early`, `late` or all of it."""
    times = [START + at * SECOND for at in range(0, hours * 3600, 60)]
    if part in {"all", "early"}:
        points = [[number_point(at, value) for at in times] for value in (4.0, 16 * GIB)]
        node = {"k8s.cluster.name": "c", "k8s.node.name": "n1", "host.type": "m5.xlarge"}
        gauges = [
            gauge("k8s.node.cpu.allocatable", points[0]),
            gauge("k8s.node.memory.allocatable", points[1]),
        ]
        put(store, Signal.METRICS, metrics_request("kubelet", gauges, node))
    wanted = {"all": range(pods), "early": range(pods - 1), "late": range(pods - 1, pods)}[part]
    for pod in wanted:
        who = {"k8s.node.name": "n1", "k8s.pod.uid": f"p{pod}", "k8s.pod.label.team": f"team-{pod % 2}"}
        used = [number_point(at, (at - START) / SECOND / 3 * (pod + 1) / 7, start=START) for at in times]
        asked = [number_point(at, 0.5) for at in times]
        memory = [number_point(at, GIB + pod) for at in times]
        metrics = [
            counter("k8s.pod.cpu.time", used),
            gauge("k8s.container.cpu.request.desired", asked),
            gauge("k8s.pod.memory.working_set", memory),
        ]
        put(store, Signal.METRICS, metrics_request("kubelet", metrics, who))
        spans = []
        for number in range(7):
            at = START + number * 700 * SECOND
            trace, first = f"{pod * 100 + number + 1:032x}", f"{pod * 1000 + number * 10 + 1:016x}"
            spans.append(
                span(
                    trace,
                    first,
                    "POST /ask",
                    at,
                    at + (number + 1) * SECOND,
                    kind=Span.SPAN_KIND_SERVER,
                    attrs={"tenant.id": f"t{number % 3}", "http.route": "/ask"},
                )
            )
            call: dict[str, Any] = {
                "gen_ai.provider.name": "anthropic",
                "gen_ai.response.model": "claude-sonnet-4-5" if number else "unknown",
                "gen_ai.usage.input_tokens": 1000 + number,
                "gen_ai.usage.cache_read.input_tokens": 900,
                "gen_ai.usage.output_tokens": 77,
                "tenant.id": f"t{number % 3}",
            }
            spans.append(
                span(
                    trace,
                    f"{pod * 1000 + number * 10 + 2:016x}",
                    "chat",
                    at + 10**8,
                    at + SECOND // 2,
                    parent=first,
                    kind=Span.SPAN_KIND_CLIENT,
                    attrs=call,
                )
            )
        put(store, Signal.TRACES, spans_request("assistant", spans, who))


def attribute(store: Store, at: FakeClock | None = None, *, dry_run: bool = False) -> list[WindowReport]:
    return list(Attribution(store, config(), at or clock()).run(DAY, dry_run=dry_run))


def content(store: Store) -> list[tuple[object, ...]]:
    """What the ledger says, whatever its ids: they are its own."""
    return sorted(
        (
            record.charge.charge_period,
            int(record.level),
            record.charge.resource_id,
            record.charge.sku_meter,
            record.charge.charge_description,
            record.subject.key,
            record.rule_id,
            str(record.amounts.effective_cost),
            str(record.amounts.pricing_quantity),
        )
        for record in Book(store).read(DAY)
        if any((record.amounts.effective_cost, record.amounts.consumed_quantity))
    )


def cost(records: list[CostAttributionRecord]) -> Decimal:
    return total(value for record in records if (value := record.amounts.effective_cost) is not None)


def test_a_run_adds_up_and_a_second_one_changes_nothing(store: Store) -> None:
    """Every window, each currency; unpriced is seen and not 0."""
    telemetry(store)
    reports = attribute(store)
    assert len(reports) == 24
    assert all(line.balances for report in reports for line in report.totals)
    first = reports[0].totals[0]
    assert first.origin > 1  # the node's hour, and calls
    assert first.attributed > 0 < first.idle
    assert reports[0].unpriced > 0
    assert {report.state for report in reports} == {WindowState.PROVISIONAL}
    records = Book(store).read(DAY)
    assert cost([r for r in records if r.level is Level.ORIGIN]) == cost(list(leaves(records)))
    assert sum(report.written for report in reports) == len(records)
    assert [report.written for report in attribute(store)] == [0] * 24
    assert Book(store).read(DAY) == records


def test_a_dry_run_writes_nothing(store: Store) -> None:
    """And says what it would."""
    telemetry(store)
    assert sum(report.written for report in attribute(store, dry_run=True)) > 0
    assert Book(store).read(DAY) == []


def test_late_data_ends_where_from_scratch_does(store: Store, tmp_path: Path) -> None:
    """Of a window that is not closed."""
    telemetry(store, part="early")
    attribute(store)
    telemetry(store, part="late")
    assert sum(report.written for report in attribute(store)) > 0
    with closing(store_for(f"sqlite:///{tmp_path / 'fresh.db'}")) as fresh:
        fresh.migrate()
        fresh.open()
        telemetry(fresh)
        attribute(fresh)
        assert content(store) == content(fresh)


def test_late_data_of_a_closed_window_becomes_corrections(store: Store) -> None:
    """Rows stay; corrections are in the billing period that is open, and sum to the difference."""
    telemetry(store, part="early")
    attribute(store)
    before = Book(store).read(DAY)
    telemetry(store, part="late")
    later = clock(20 * 24 * HOUR)
    reports = attribute(store, later)
    assert {report.state for report in reports} == {WindowState.CLOSED}
    after = Book(store).read(DAY)
    made = [record for record in after if record not in before]
    assert made
    assert len(after) == len(before) + len(made)
    assert {record.charge.charge_class for record in made} == {ChargeClass.CORRECTION}
    assert {record.charge.billing_period.start_unix_nano for record in made} == {1_790_812_800 * SECOND}
    assert cost(list(leaves(after))) == total(line.origin for report in reports for line in report.totals)
    assert [report.written for report in attribute(store, later)] == [0] * 24


def test_two_runs_at_once_do_it_once(lasting_store_url: str) -> None:
    """Without a lock: what one has read and the other has replaced meanwhile is not written."""
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(store_for(lasting_store_url))) for _ in range(3)]
        stores[0].open()
        stores[0].migrate()
        for other in stores[1:]:
            other.open()
        telemetry(stores[0], hours=2)
        errors: list[BaseException] = []

        def run(store: Store) -> None:
            try:
                attribute(store)
            except BaseException as error:  # noqa: BLE001  for the main thread to see
                errors.append(error)

        threads = [threading.Thread(target=run, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        ids = [record.record_id for record in Book(stores[0]).read(DAY)]
        assert len(ids) == len(set(ids)) > 0
        assert [report.written for report in attribute(stores[0])] == [0] * 24


def test_a_run_that_is_killed_leaves_whole_windows(lasting_store_url: str) -> None:
    """And the next one does the rest."""
    with closing(store_for(lasting_store_url)) as store:
        store.open()
        store.migrate()
        telemetry(store, hours=24)
        script = (
            "import os, sys\n"
            "from tests.contract import test_cost_runs as runs\n"
            "from collector.storage.store import open_store\n"
            "run = runs.Attribution(open_store(sys.argv[1]), runs.config(), runs.clock()).run(runs.DAY)\n"
            "for number, report in enumerate(run):\n"
            "    if number == 2: os.kill(os.getpid(), 9)\n"
        )
        killed = subprocess.run(
            [sys.executable, "-c", script, lasting_store_url], cwd=ROOT, check=False, capture_output=True
        )
        assert killed.returncode == -9, killed.stderr
        assert {record.charge.charge_period.start_unix_nano for record in Book(store).read(DAY)} == {
            START + hour * HOUR for hour in range(3)
        }
        assert store.query("SELECT * FROM cost_balance").rows == []
        reports = attribute(store)
        assert [report.written > 0 for report in reports] == [False] * 3 + [True] * 21


def test_a_focus_file_out_and_in_again(store: Store, tmp_path: Path) -> None:
    """The same bytes twice; imported elsewhere it has the same costs, and twice is once."""
    telemetry(store)
    attribute(store)
    written = [
        write_focus(records_of(Book(store), DAY), tmp_path / f"{name}.csv", FocusOptions(version="1.4"))
        for name in ("one", "two")
    ]
    assert written[0].path.read_bytes() == written[1].path.read_bytes()
    assert written[0].rows > 0
    assert written[0].unpriced > 0
    with closing(store_for(f"sqlite:///{tmp_path / 'other.db'}")) as other:
        other.open()
        other.migrate()
        imported = import_bill(other, written[0].path)
        assert imported.stored == imported.manifest.records > 0
        assert cost(list(leaves(Book(other).read(DAY)))) == cost(list(leaves(Book(store).read(DAY))))
        assert import_bill(other, written[1].path).stored == 0


def test_a_broken_bill_stores_nothing(store: Store, tmp_path: Path) -> None:
    """It says which line."""
    telemetry(store)
    attribute(store)
    path = write_focus(records_of(Book(store), DAY), tmp_path / "bill.csv", FocusOptions()).path
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[2]["BilledCost"] = "a lot"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    before = Book(store).read(DAY)
    with pytest.raises(BillError, match=r"bill\.csv:4: BilledCost: .*a lot"):
        import_bill(store, path)
    assert Book(store).read(DAY) == before


def test_a_bill_settles_what_was_estimated(store: Store, tmp_path: Path) -> None:
    """Costs sum to the bill; a second time, and another run, change nothing; another bill is refused."""
    telemetry(store)
    attribute(store)
    estimated = [r for r in Book(store).read(DAY) if r.level is Level.ORIGIN and r.amounts.is_priced]
    billed = [raised(record, "1.07") for record in estimated]
    path = write_focus(iter(billed), tmp_path / "bill.csv", FocusOptions()).path
    done = reconcile_bill(store, path, match=MATCH, now_unix_nano=clock().unix_nano())
    assert done.records
    assert cost(list(leaves(Book(store).read(DAY)))) == cost(billed)
    assert reconcile_bill(store, path, match=MATCH, now_unix_nano=1).records == ()
    assert [report.written for report in attribute(store)] == [0] * 24
    assert cost(list(leaves(Book(store).read(DAY)))) == cost(billed)
    other = write_focus(
        iter([raised(record, "1.09") for record in estimated]), tmp_path / "other.csv", FocusOptions()
    )
    with pytest.raises(ReconciledError, match="--replace"):
        reconcile_bill(store, other.path, match=MATCH, now_unix_nano=clock().unix_nano())


def test_a_later_bill_counts_instead_by_corrections(store: Store, tmp_path: Path) -> None:
    """What was stored stays; costs sum to the bill that came last, to its last digit; back again, too."""
    telemetry(store)
    attribute(store)
    estimated = [r for r in Book(store).read(DAY) if r.level is Level.ORIGIN and r.amounts.is_priced]
    bills = {
        # The second bill leaves out one charge, and has one that nobody estimated.
        "first": [raised(record, "1.07") for record in estimated],
        "second": [*(raised(record, "1.09") for record in estimated[1:]), unknown(estimated[0], "3.21")],
        "third": [*(raised(record, "0.5") for record in estimated), unknown(estimated[0], "0.4")],
    }
    later = clock(20 * 24 * HOUR).unix_nano()
    before: list[CostAttributionRecord] = []
    for name in ("first", "second", "third", "first"):
        path = write_focus(iter(bills[name]), tmp_path / f"{name}.csv", FocusOptions()).path
        reconcile_bill(store, path, match=MATCH, now_unix_nano=later, replace=True)
        stored = Book(store).read(DAY)
        assert cost(list(leaves(stored))) == cost(bills[name])
        assert set(before) <= set(stored)
        before = before or stored
        assert reconcile_bill(store, path, match=MATCH, now_unix_nano=later, replace=True).records == ()
        assert [report.written for report in attribute(store)] == [0] * 24


def unknown(like: CostAttributionRecord, amount: str) -> CostAttributionRecord:
    """A charge of something that there are no estimates of."""
    record = raised(like, amount)
    return origin_row(
        charge=replace(record.charge, resource_id="elsewhere"),
        amounts=record.amounts,
        source=CostSource.INVOICE,
        identity=("unknown", like.origin_id),
    )


def raised(record: CostAttributionRecord, factor: str) -> CostAttributionRecord:
    """An estimate as a provider might bill it: at another price."""
    by = Decimal(factor)
    values = {name: multiply(getattr(record.amounts, name), by) for name in COSTS}
    charge = replace(
        record.charge,
        list_unit_price=multiply(record.charge.list_unit_price or by, by),
        contracted_unit_price=multiply(record.charge.contracted_unit_price or by, by),
    )
    return origin_row(
        charge=charge,
        amounts=replace(record.amounts, **values),
        source=CostSource.INVOICE,
        identity=("bill", record.origin_id),
    )
