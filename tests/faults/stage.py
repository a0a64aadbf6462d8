"""`Stage`: what a fault is played on. Directories, databases, daemons and load, all gone when it is over."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from collector.model.signal import OPENTELEMETRY, Signal
from tests.faults.generator import Client, Plan, Request
from tests.faults.load import Load
from tests.faults.oracle import Verdict, judge, read_books
from tests.faults.outcome import Outcome
from tests.faults.stamp import stored
from tests.support.daemon import READY, Daemon
from tests.support.destination import Destination, postgresql_destination, sqlite_destination
from tests.support.eventually import eventually
from tests.support.postgres import Server, start_server

MIB = 1024 * 1024
# Attempts come quickly, so that a fault takes seconds; otherwise a daemon as people run it.
QUICK = ", retry_on_failure: {initial_interval: 100ms, max_interval: 500ms}"
# A daemon with all its parts takes about 75 MiB. Each of three senders may hold two batches of 6 MiB, with the rows made of them
# and what came last into its queue; after an outage all do at once.
_RSS_MAX = 260 * MIB


@cache
def server() -> Server:
    """The PostgreSQL server of this process. Commits count: what it confirmed must be there after a crash."""
    # A role without privileges must find all connections taken, and deadlocks are looked for soon.
    return start_server(synchronous_commit="on", superuser_reserved_connections="3", deadlock_timeout="2s")


def stable_port() -> int:
    """A free port that no outgoing connection takes while the daemon is between two lives."""
    while True:
        port = random.randrange(20_000, 32_000)  # below Linux' range of ephemeral ports
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def config(
    *destinations: Destination,
    ports: tuple[int, int] = (0, 0),
    batch: str = "{timeout: 200ms}",
    extra: str = QUICK,
    queue: str = "",
    directory: Path | None = None,
    ack: str = "disk",
    receiver: str = "",
    service: str = "",
) -> str:
    """A daemon's configuration: OTLP, all signals into each of `destinations`, queues on disk.

    `extra`: options of all destinations; `queue`: of their sending queues; `directory`: of the queues' files.
    """
    grpc_port, http_port = ports
    names = ", ".join(destination.exporter for destination in destinations)
    storage = f", sending_queue: {{storage: file_storage{queue}}}"
    exporters = ", ".join(f"{one.exporter}: {{{one.option}{extra}{storage}}}" for one in destinations)
    pipeline = f"{{ack: {ack}, receivers: [otlp], processors: [memory_limiter, batch], exporters: [{names}]}}"
    return f"""
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc_port}"}}
      http: {{endpoint: "127.0.0.1:{http_port}"}}
    {receiver}
processors: {{memory_limiter: {{check_interval: 1s, limit_percentage: 80}}, batch: {batch}}}
exporters: {{{exporters}}}
extensions: {{file_storage: {{directory: "{directory or "${env:COLLECTOR_DATA_DIR}/queue"}"}}}}
service:
  admin: {{endpoint: "127.0.0.1:0"}}
  extensions: [file_storage]
  {service}
  pipelines: {{traces: {pipeline}, metrics: {pipeline}, logs: {pipeline}}}
"""


class Stage:
    """The things of one fault. `long`: as long as `make faults` plays it; else short, for `make test`."""

    def __init__(
        self, directory: Path, *, long: bool = False, seconds: float | None = None, rate: float | None = None
    ) -> None:
        self.directory = directory
        self.long = long
        self._seconds = seconds
        self._rate = rate
        self._journals = 0
        self.peak_rss = 0
        self.peak_disk = 0
        self.samples = 0  # of the daemons' own counts, which must balance at every moment
        self.unbalanced: list[str] = []

    # --- how much ---------------------------------------------------------------------------------------

    def pick(self, short: int, long: int) -> int:
        """One number or the other."""
        return long if self.long else short

    def seconds(self, short: float, long: float) -> float:
        """How long the fault lasts, unless the command line says otherwise."""
        return self._seconds if self._seconds is not None else long if self.long else short

    def rate(self, short: float, long: float) -> float:
        """Items per second of all clients together, unless the command line says otherwise."""
        return self._rate if self._rate is not None else long if self.long else short

    # --- databases --------------------------------------------------------------------------------------

    def sqlite(self) -> Destination:
        """A SQLite file that does not exist yet."""
        return sqlite_destination(self.directory / "telemetry.db")

    @contextmanager
    def postgresql(self, *, timescaledb: bool = False) -> Iterator[Destination]:
        """An empty database on `server()`; `timescaledb`: with the extension, where there is one."""
        timescaledb = timescaledb and server().timescaledb
        url = server().create_database(timescaledb=timescaledb)
        try:
            yield postgresql_destination(url, exporter="timescaledb" if timescaledb else "postgresql")
        finally:
            server().drop_database(url)

    # --- processes --------------------------------------------------------------------------------------

    @contextmanager
    def daemon(
        self,
        text: str,
        *,
        launcher: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[Daemon]:
        """A daemon that is up. Another may follow in the same directories."""
        with self.life(text, launcher=launcher, environment=environment) as daemon:
            daemon.wait_until_ready()
            yield daemon

    @contextmanager
    def life(
        self,
        text: str,
        *,
        launcher: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[Daemon]:
        """A daemon from its first moment, with its memory and its files watched."""
        daemon = Daemon.spawn(self.directory, text, launcher=launcher, environment=environment)
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(daemon, over), daemon=True)
        watch.start()
        try:
            yield daemon
        finally:
            over.set()
            watch.join(5)
            daemon.kill()

    def _watch(self, daemon: Daemon, over: threading.Event) -> None:
        data = self.directory / "data"
        while not over.wait(0.2):
            self.peak_rss = max(self.peak_rss, peak_rss(daemon))
            self.peak_disk = max(self.peak_disk, _size(data))
            if daemon.logged(READY) and (balance := sampled(daemon)) is not None:
                self.samples += 1
                self.unbalanced += balance

    def plan(
        self,
        *,
        grpc: str,
        http: str,
        clients: int = 3,
        signals: Sequence[Signal] = OPENTELEMETRY,
        rate: float = 0.0,
        **options: Any,
    ) -> Plan:
        """What the generator does: signals and transports by turns; `rate` is that of all clients together."""
        self._journals += 1
        given = [
            Client(
                name=f"{self._journals}-{number}",
                signal=signals[number % len(signals)].value,
                transport=("grpc", "http")[number % 2],
                endpoint=(grpc, http)[number % 2],
            )
            for number in range(clients)
        ]
        journal = str(self.directory / f"journal-{self._journals}")
        return Plan(clients=given, journal=journal, rate=rate / clients, **options)

    @contextmanager
    def load(self, daemon: Daemon, **options: Any) -> Iterator[Load]:
        """Clients of a running daemon; see `plan`."""
        http = daemon.http.removeprefix("http://")
        with self.load_of(self.plan(grpc=daemon.grpc, http=http, **options)) as load:
            yield load

    @contextmanager
    def load_at(self, ports: tuple[int, int], **options: Any) -> Iterator[Load]:
        """Clients of a daemon on these ports, which may be there or not; see `plan`."""
        grpc, http = (f"127.0.0.1:{port}" for port in ports)
        with self.load_of(self.plan(grpc=grpc, http=http, **options)) as load:
            yield load

    @contextmanager
    def load_of(self, plan: Plan) -> Iterator[Load]:
        """A generator with this plan."""
        load = Load(plan)
        try:
            yield load
        finally:
            load.kill()

    # --- the end ----------------------------------------------------------------------------------------

    def verdict(self, requests: Sequence[Request], *destinations: Destination) -> Outcome:
        """What the oracle says, for each of the stores."""
        outcome = Outcome()
        for destination in destinations:
            outcome += self.judged(judge(requests, stored(destination.url)))
        return outcome

    def judged(self, verdict: Verdict, *, rss_max: int = _RSS_MAX) -> Outcome:
        """The same as an outcome, with bounds checked."""
        problems = verdict.problems()
        if verdict.refused_stored:
            problems.append(f"{verdict.refused_stored} stored although refused")
        if self.unbalanced:
            problems.append(
                f"{len(self.unbalanced)} of {self.samples} samples unbalanced: {self.unbalanced[0]}"
            )
        if self.peak_rss > rss_max:
            problems.append(f"RSS {self.peak_rss // MIB} MiB of {rss_max // MIB}")
        return Outcome(
            runs=1,
            acked=verdict.acked,
            stored=verdict.stored,
            lost=verdict.lost,
            doubled=verdict.doubled,
            problems=tuple(problems),
        )


def sampled(daemon: Daemon) -> list[str] | None:
    """What does not balance in the daemon's counts now; None if it does not answer."""
    with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):  # it has ended
        return read_books(daemon).problems()
    return None


def peak_rss(daemon: Daemon) -> int:
    """The most memory that the process ever had, in bytes; 0 when it has ended."""
    try:
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def _size(directory: Path) -> int:
    size = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # released segments disappear
            size += path.stat().st_size
    return size


def stable_ports() -> tuple[int, int]:
    """For gRPC and HTTP, of a daemon that is started again while clients go on."""
    return stable_port(), stable_port()


def caught_up(daemon: Daemon, *, within_s: float = 60.0) -> None:
    """Wait until the queues are empty."""
    eventually(
        lambda: daemon.metric("collector_exporter_queue_items") == 0, within_s=within_s, what="an empty queue"
    )


def closed(daemon: Daemon, requests: Sequence[Request]) -> list[str]:
    """What is wrong with the daemon's own counts, when all clients have finished and its queue is empty.

    Only of a daemon that lived through all of it.
    """
    books = read_books(daemon)
    problems = books.problems()
    acked = sum(request.count - request.rejected for request in requests if request.outcome == "acked")
    silent = sum(request.count for request in requests if request.silent)
    if not acked <= books.accepted <= acked + silent:
        problems.append(f"counted {books.accepted} as accepted, clients know of {acked} to {acked + silent}")
    for exporter, enqueued in books.enqueued.items():
        taken = books.restored[exporter] + books.accepted + books.unconfirmed
        if enqueued != taken:
            problems.append(f"{exporter}: enqueued {enqueued} of {taken} taken")
        if books.dropped[exporter]:
            problems.append(f"{exporter}: dropped {books.dropped[exporter]}")
        if books.dead_lettered[exporter]:
            problems.append(f"{exporter}: dead-lettered {books.dead_lettered[exporter]}")
    return problems
