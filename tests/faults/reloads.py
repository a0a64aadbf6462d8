"""The configuration changes while clients go on: broken, with other ports, a hundred times, while the database is away."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.footprint import Footprint, footprint
from tests.faults.load import Load
from tests.faults.oracle import read_books
from tests.faults.outages import behind_a_proxy
from tests.faults.outcome import Outcome
from tests.faults.play import wait_until_stored
from tests.faults.proxy import Proxy
from tests.faults.stage import QUICK, Stage, caught_up, config, stable_port, stable_ports
from tests.support.daemon import Daemon
from tests.support.destination import Destination
from tests.support.eventually import eventually

_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Variant:
    """A configuration to reload to, and the outcome that counts for it."""

    name: str
    text: str
    outcome: str = "success"


def variants(destination: Destination, ports: tuple[int, int], admin: str) -> Iterator[Variant]:
    """One kind of change after the other, again and again. Ports of the clients stay."""
    spare = stable_port()

    def with_second_receiver(number: int) -> str:
        text = config(destination, ports=ports).replace(
            "receivers:\n",
            f"receivers:\n  otlp/two: {{protocols: {{http: {{endpoint: '127.0.0.1:{spare + number}'}}}}}}\n",
        )
        return text.replace("receivers: [otlp]", "receivers: [otlp, otlp/two]")

    plain = config(destination, ports=ports)
    for number in itertools.count():
        odd = number % 2
        yield Variant("batch", config(destination, ports=ports, batch=f"{{timeout: {210 + odd}ms}}"))
        yield Variant("broken", plain.replace("receivers:", "recievers:"), "failure")
        yield Variant("exporter", config(destination, ports=ports, extra=f"{QUICK}, timeout: {5 + odd}s"))
        yield Variant("queue", config(destination, ports=ports, queue=f", queue_size: {64 + odd}MiB"))
        yield Variant("listener", config(destination, ports=ports, receiver=f"duplicate_window: {60 + odd}s"))
        yield Variant("another port", with_second_receiver(odd))
        yield Variant(
            "port in use", with_second_receiver(0).replace(f":{spare}'", f":{ports[1]}'"), "failure"
        )
        yield Variant("one more exporter", _with_memory(plain))
        yield Variant("as before", plain)
        yield Variant("the same", plain, "unchanged")


def _with_memory(text: str) -> str:
    text = text.replace(
        "exporters: {", "exporters: {memory: {items_max: 1000, sending_queue: {storage: file_storage}}, ", 1
    )
    return text.replace("exporters: [", "exporters: [memory, ")


def apply(daemon: Daemon, path: Path, variant: Variant) -> str:
    """Reload to it; what is wrong with the outcome, or nothing."""
    before = daemon.metric("collector_config_reloads", outcome=variant.outcome)
    total = daemon.metric("collector_config_reloads")
    path.write_text(variant.text)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: daemon.metric("collector_config_reloads") > total, within_s=60, what=variant.name)
    if daemon.metric("collector_config_reloads", outcome=variant.outcome) == before:
        return f"{variant.name}: not a {variant.outcome}; {daemon.health()['configuration']}"
    return ""


def reloaded(stage: Stage) -> Outcome:
    """Ten or a hundred times under load, all kinds by turns: nothing lost, nothing twice, nothing left behind."""
    rounds = stage.pick(1, 9)  # of ten each, behind the first, which warms up
    ports = stable_ports()
    problems = []
    with (
        stage.postgresql(timescaledb=True) as database,
        stage.daemon(config(database, ports=ports)) as daemon,
        stage.load_at(ports, clients=6, rate=500) as load,
    ):
        load.wait_for(100)
        wait_until_stored(daemon)
        series = variants(database, ports, daemon.admin)
        path = stage.directory / "collector.yaml"
        marks: list[Footprint] = []
        for _ in range(rounds + 1):
            for variant in itertools.islice(series, 10):
                problems += [problem for problem in [apply(daemon, path, variant)] if problem]
                load.wait_for(10)
            marks.append(_settled_footprint(daemon, marks[0] if marks else None))
        outcome = _end(stage, daemon, load, database)
        problems += marks[0].problems(marks[-1])
    return outcome.but(*problems, note=f"{10 * len(marks)} reloads: {marks[0]}, then {marks[-1]}")


def _settled_footprint(daemon: Daemon, first: Footprint | None) -> Footprint:
    """When what was replaced has gone: it may take its time to drain. What stays for `_PATIENCE_S` has leaked."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        time.sleep(2.5)  # the main thread tidies up when it ticks
        now = footprint(daemon)
        if first is None or not first.problems(now) or time.monotonic() > end:
            return now


def _end(stage: Stage, daemon: Daemon, load: Load, destination: Destination) -> Outcome:
    requests = load.finish()
    caught_up(daemon)
    books = read_books(daemon)
    problems = books.problems()
    name = destination.exporter
    if books.enqueued[name] != books.sent[name]:
        problems.append(f"{name}: sent {books.sent[name]} of {books.enqueued[name]}")
    if code := daemon.stop():
        problems.append(f"exit code {code}")
    return stage.verdict(requests, destination).but(*problems)


def reloaded_in_an_outage(stage: Stage) -> Outcome:
    """The database is away, and is given another address: what waits goes there. And the other way round, in the end."""
    ports = stable_ports()
    with stage.postgresql() as database, behind_a_proxy(database) as (proxy, near):
        text = config(near, ports=ports)
        with stage.daemon(text) as daemon, stage.load_at(ports, rate=stage.rate(500, 1500)) as load:
            load.wait_for(100)
            wait_until_stored(daemon)
            path = stage.directory / "collector.yaml"
            problems = []
            for _ in range(stage.pick(1, 10)):
                problems += _turn(daemon, path, load, proxy, text, config(database, ports=ports))
            outcome = _end(stage, daemon, load, database)
    return outcome.but(*problems)


def _turn(daemon: Daemon, path: Path, load: Load, proxy: Proxy, near: str, straight: str) -> list[str]:
    proxy.refuse()
    load.wait_for(500)
    waiting = daemon.metric("collector_exporter_queue_items")
    found = [apply(daemon, path, Variant("straight", straight))]
    enqueued = sum(read_books(daemon).enqueued.values())
    eventually(
        lambda: sum(read_books(daemon).sent.values()) >= enqueued, within_s=60, what="all that waited sent"
    )
    proxy.restore()
    found.append(apply(daemon, path, Variant("by the proxy", near)))
    load.wait_for(100)
    return [problem for problem in found if problem] + ([] if waiting else ["nothing had to wait"])


FAULTS: dict[str, Callable[[Stage], Outcome]] = {
    "reload": reloaded,
    "reload-outage": reloaded_in_an_outage,
}
