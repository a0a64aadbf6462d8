"""Costs on their way into files, with kill -9 at any moment: each is in one file, once, and no file is ever half."""

from __future__ import annotations

import csv
import io
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from collector.cost.amount import total
from collector.cost.focus.check import check_file
from collector.cost.protobuf import encode_request
from collector.cost.record import CostAttributionRecord
from collector.model.signal import Signal
from tests.faults.outcome import Outcome
from tests.faults.stage import Stage, caught_up, stable_ports
from tests.faults.transport import open_transport
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, ledger
from tests.support.eventually import eventually

_CLIENTS: Final = 6
_LEAVES: Final = 3  # of a charge in the samples


def _config(directory: Path, ports: tuple[int, int], version: str) -> str:
    queue = "sending_queue: {storage: file_storage}"
    return f"""
receivers:
  otlp:
    protocols: {{grpc: {{endpoint: "127.0.0.1:{ports[0]}"}}, http: {{endpoint: "127.0.0.1:{ports[1]}"}}}}
processors: {{memory_limiter: {{check_interval: 1s, limit_percentage: 80}}, batch: {{timeout: 50ms}}}}
exporters:
  focus: {{directory: "{directory}", version: "{version}", interval: 100ms, {queue}}}
  sqlite: {{path: "{directory}.db", {queue}}}
extensions: {{file_storage: {{directory: "${{env:COLLECTOR_DATA_DIR}}/queue"}}}}
service:
  admin: {{endpoint: "127.0.0.1:0"}}
  extensions: [file_storage]
  pipelines: {{costs: {{ack: disk, receivers: [otlp], processors: [memory_limiter, batch], exporters: [focus, sqlite]}}}}
"""


@dataclass(slots=True)
class _Charge:
    """A charge and its parts, and whether all requests with them were acknowledged."""

    records: list[CostAttributionRecord]
    acked: bool


class _Client:
    """Sends charges, some of them in two requests, over either transport; a request without answer is not repeated."""

    def __init__(self, number: int, ports: tuple[int, int], stop: threading.Event, charges_max: int) -> None:
        self.charges: list[_Charge] = []
        self._number = number
        self._stop = stop
        self._most = charges_max
        kind = ("grpc", "http")[number % 2]
        self._transport = open_transport(kind, f"127.0.0.1:{ports[number % 2]}", Signal.COSTS)
        self._rng = random.Random(number)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(30)
        self._transport.close()

    def _run(self) -> None:
        while not self._stop.is_set() and len(self.charges) < self._most:
            *records, _ = ledger(
                f"svc-{self._number}-{len(self.charges)}",
                start=NOW_UNIX_NANO - self._rng.randrange(30) * HOUR,
                contracted_unit_price=Decimal("1.00"),
            )
            cut = self._rng.choice([1, 2, len(records)])
            answers = [
                self._transport.send(encode_request(some), 10.0)
                for some in (records[:cut], records[cut:])
                if some
            ]
            if all(answer.code == "no connection" for answer in answers):
                time.sleep(0.05)
                continue
            self.charges.append(
                _Charge(records, all(answer.acked and not answer.rejected for answer in answers))
            )
            time.sleep(0.003)


@contextmanager
def _clients(ports: tuple[int, int], charges_max: int) -> Iterator[list[_Client]]:
    stop = threading.Event()
    clients = [_Client(number, ports, stop, charges_max) for number in range(_CLIENTS)]
    try:
        yield clients
    finally:
        stop.set()
        for client in clients:
            client.join()


def _rows(directory: Path, version: str, problems: list[str]) -> list[dict[str, str]]:
    """All rows of all files that a consumer sees now; each file has to pass the checker."""
    rows = []
    for path in sorted(directory.glob("BillingPeriod=*/*.csv")):
        data = path.read_bytes()
        report = check_file(io.BytesIO(data), path.name, version)
        problems += [str(finding) for finding in report.findings[:3] if not report.ok()]
        rows += list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    return rows


def killed_into_files(stage: Stage) -> Outcome:
    """At random instants under load. What was acknowledged is in the files, the finest parts and each once."""
    kills, version = stage.pick(4, 100), "1.4"
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    ports, directory, problems = stable_ports(), stage.directory / "focus", list[str]()
    text = _config(directory, ports, version)
    with _clients(ports, stage.pick(1500, 20_000)) as clients:
        for _ in range(kills):
            with stage.life(text) as daemon:
                daemon.wait_until_ready()
                time.sleep(rng.uniform(0.0, 1.2))
                daemon.signal(signal.SIGKILL)
                daemon.wait()
            _rows(directory, version, problems)  # no file is half, whatever the moment was
    changed = directory / ".ledger" / "changed"
    with stage.daemon(text) as daemon:
        caught_up(daemon)
        # What is not written yet when it stops is written after the next start: a file takes longer on a busy machine.
        eventually(lambda: not any(changed.iterdir()), within_s=180, what="writing the files of all days")
        if code := daemon.stop():
            problems.append(f"exit code {code}")
    rows = _rows(directory, version, problems)
    return _judged(rows, [charge for client in clients for charge in client.charges]).but(
        *problems, note=f"{kills} kills, {len(rows)} rows, seed {seed}"
    )


def _judged(rows: list[dict[str, str]], charges: list[_Charge]) -> Outcome:
    seen = Counter(row["x_RecordId"] for row in rows)
    costs: dict[str, list[Decimal]] = {}
    for row in rows:
        costs.setdefault(row["x_OriginId"], []).append(Decimal(row["EffectiveCost"]))
    problems, lost, acked = [], 0, 0
    for charge in charges:
        if charge.acked:
            acked += _LEAVES
            lost += sum(not seen[record.record_id.hex()] for record in charge.records[-_LEAVES:])
        if (found := costs.pop(charge.records[0].origin_id.hex(), None)) and total(found) != 1:
            problems.append(f"a charge of 1 is {total(found)} in the files")
    problems += [f"a charge in the files that nobody sent: {origin}" for origin in costs]
    doubled = sum(count - 1 for count in seen.values())
    if acked < 100:
        problems.append(f"only {acked} rows were acknowledged")
    return Outcome(
        runs=1, acked=acked, stored=len(rows), lost=lost, doubled=doubled, problems=tuple(problems[:5])
    )


FAULTS: dict[str, Callable[[Stage], Outcome]] = {"kill-focus": killed_into_files}
