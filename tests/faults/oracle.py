"""The oracle: compares what clients were told with what the stores hold, and what the daemon says of itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from collector.model.signal import OPENTELEMETRY
from tests.faults.generator import ACKED, REFUSED, Request
from tests.faults.load import numbers
from tests.faults.stamp import Item

if TYPE_CHECKING:
    from tests.support.daemon import Daemon


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Items by what became of them."""

    acked: int
    stored: int
    lost: int  # acknowledged, not stored
    doubled: int  # stored more often than once: copies beyond the first
    invented: int  # stored, never sent
    refused_stored: int  # stored although every attempt was answered with a refusal
    resent_doubled: int  # of `doubled`: the client had sent them again, having had no answer

    def problems(self) -> list[str]:
        """What must not be, in words."""
        wrong = {"lost": self.lost, "doubled": self.doubled, "invented": self.invented}
        return [f"{count} {name}" for name, count in wrong.items() if count]


def judge(requests: Iterable[Request], stored: Counter[Item]) -> Verdict:
    """Compare. Of a request with rejected items, any that many may be missing."""
    acked = lost = refused_stored = resent_doubled = 0
    sent: set[Item] = set()
    for request in requests:
        items = set(numbers(request))
        sent |= items
        found = sum(1 for item in items if stored[item])
        if request.outcome == ACKED:
            promised = request.count - request.rejected
            acked += promised
            lost += max(0, promised - found)
        elif request.outcome == REFUSED:
            refused_stored += found
        if request.silent:
            resent_doubled += sum(max(0, stored[item] - 1) for item in items)
    return Verdict(
        acked=acked,
        stored=stored.total(),
        lost=lost,
        doubled=sum(count - 1 for count in stored.values() if count > 1),
        invented=sum(count for item, count in stored.items() if count and item not in sent),
        refused_stored=refused_stored,
        resent_doubled=resent_doubled,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the daemon counted, by exporter; see `collector.pipeline.observe` for the equation."""

    accepted: int
    unconfirmed: int  # enqueued, and answered with a retryable error
    restored: dict[str, int]
    enqueued: dict[str, int]
    sent: dict[str, int]
    dropped: dict[str, int]
    dead_lettered: dict[str, int]
    queued: dict[str, int]

    def problems(self) -> list[str]:
        """Where they do not balance."""
        return [
            f"{exporter}: enqueued {enqueued} is not sent {self.sent[exporter]} + dropped {self.dropped[exporter]} "
            f"+ dead-lettered {self.dead_lettered[exporter]} + queued {self.queued[exporter]}"
            for exporter, enqueued in self.enqueued.items()
            if enqueued
            != self.sent[exporter]
            + self.dropped[exporter]
            + self.dead_lettered[exporter]
            + self.queued[exporter]
        ]


def read_books(daemon: Daemon) -> Books:
    """Read `/metrics` once: the numbers of the exporters are of one moment."""
    accepted = unconfirmed = 0
    columns: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    accepted_names = {f"otelcol_receiver_accepted_{signal.item}_total" for signal in OPENTELEMETRY}
    unconfirmed_names = {f"collector_receiver_unconfirmed_{signal.item}_total" for signal in OPENTELEMETRY}
    names = {f"collector_exporter_restored_{signal.item}_total": "restored" for signal in OPENTELEMETRY}
    names |= {f"collector_exporter_enqueued_{signal.item}_total": "enqueued" for signal in OPENTELEMETRY}
    names |= {f"otelcol_exporter_sent_{signal.item}_total": "sent" for signal in OPENTELEMETRY}
    names |= {
        "collector_exporter_dropped_items_total": "dropped",
        "collector_exporter_dead_lettered_items_total": "dead_lettered",
        "collector_exporter_queue_items": "queued",
    }
    for family in text_string_to_metric_families(daemon.get("/metrics")[1]):
        for sample in family.samples:
            if sample.name in accepted_names:
                accepted += int(sample.value)
            elif sample.name in unconfirmed_names:
                unconfirmed += int(sample.value)
            elif column := names.get(sample.name):
                columns[column][sample.labels["exporter"]] += int(sample.value)
    return Books(
        accepted=accepted,
        unconfirmed=unconfirmed,
        restored=columns["restored"],
        enqueued=columns["enqueued"],
        sent=columns["sent"],
        dropped=columns["dropped"],
        dead_lettered=columns["dead_lettered"],
        queued=columns["queued"],
    )
