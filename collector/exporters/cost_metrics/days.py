"""A day of the ledger as metrics: what its sums are now, less what has been sent of them.

What has been sent is the file of the day, written after each answer. So a revision is a point with the difference, which
may be negative, in the same charge period, and the points of a series sum to its costs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector.accounting.day_files import DayRecords
from collector.accounting.errors import AccountingError
from collector.accounting.export import write_whole
from collector.cost.amount import ZERO, amount_text, parse_amount, subtract
from collector.cost.otlp_metrics import MetricOptions, Point, cost_sums, requests_of


class CostMetricDays:
    """See `accounting.day_files.DayWriter`. `destination`: another one has been sent nothing yet."""

    suffix = "jsonl"
    obsolete: tuple[str, ...] = ()

    def __init__(
        self, send: Callable[[ExportMetricsServiceRequest], str], destination: str, options: MetricOptions
    ) -> None:
        self._send = send
        self._destination = destination
        self._options = options
        self.layout = json.dumps(["cost_metrics", destination, *options.bases])

    def write(self, records: DayRecords, path: Path) -> int:
        """See `DayWriter`. Raises what sending raises; what was sent before that is noted."""
        now: dict[Point, Decimal] = {}
        for hour in records.hours():
            now |= cost_sums(hour, self._options)
        sent = self._read(path)
        differences = {
            point: difference
            for point in {*now, *sent}
            if (difference := subtract(now.get(point, ZERO), sent.get(point, ZERO)))
        }
        left_out = ""
        for points, request in requests_of(differences, self._options):
            # What was left out counts as sent: it is not to be sent again (OTLP, "Partial Success").
            left_out = self._send(request) or left_out
            for point in points:
                sent[point] = now.get(point, ZERO)
            self._note(path, sent)
        if left_out:
            raise AccountingError(left_out)
        return len(sent)

    def _read(self, path: Path) -> dict[Point, Decimal]:
        if not path.exists():
            return {}
        with path.open("rb") as stream:
            if json.loads(stream.readline()) != {"sent_to": self._destination}:
                return {}
            found: dict[Point, Decimal] = {}
            for line in stream:
                name, unit, series, start, end, amount = json.loads(line)
                point = (name, unit, tuple((key, text) for key, text in series), start, end)
                found[point] = parse_amount(amount)
            return found

    def _note(self, path: Path, sent: dict[Point, Decimal]) -> None:
        lines = [json.dumps({"sent_to": self._destination})]
        lines += [
            json.dumps([*point, amount_text(amount)], ensure_ascii=False)
            for point, amount in sorted(sent.items())
        ]
        text = ("\n".join(lines) + "\n").encode()
        write_whole(path, lambda sink: sink.write(text))
