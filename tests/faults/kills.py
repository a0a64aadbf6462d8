"""The daemon ends without a word: kill -9, at any moment, with clients that go on."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

from collector.pipeline.queue_segment import REUSED_VERSION, SEGMENT_HEADER_SIZE
from tests.faults.generator import ACKED
from tests.faults.load import Load
from tests.faults.oracle import read_books
from tests.faults.outages import behind_a_proxy
from tests.faults.outcome import Outcome
from tests.faults.proxy import Proxy
from tests.faults.stage import Stage, caught_up, config, stable_ports
from tests.support.daemon import Daemon
from tests.support.destination import Destination
from tests.support.eventually import eventually


@contextmanager
def _destination(stage: Stage, store: str) -> Iterator[Destination]:
    if store == "sqlite":
        yield stage.sqlite()
        return
    with stage.postgresql(timescaledb=True) as database:
        yield database


def last_life(stage: Stage, text: str, load: Load, *destinations: Destination) -> Outcome:
    """Start the daemon once more, let clients and queues finish, and judge all that has been."""
    with stage.daemon(text) as daemon:
        requests = load.finish()
        caught_up(daemon)
        books = read_books(daemon)
        problems = books.problems()
        problems += [f"{name}: dropped {count}" for name, count in books.dropped.items() if count]
        problems += [f"{name}: dead-lettered {count}" for name, count in books.dead_lettered.items() if count]
        if code := daemon.stop():
            problems.append(f"exit code {code}")
    return stage.verdict(requests, *destinations).but(*problems)


def killed(stage: Stage, *, store: str, ack: str = "disk", share: float = 1.0) -> Outcome:
    """At random instants under load: while it starts, takes requests, writes batches, replays its queue.

    Clients that got no answer do not send that request again: whether it counts is not known to them.
    """
    kills = round(stage.pick(20, 200) * share)
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    ports = stable_ports()
    with ExitStack() as stack:
        database = stack.enter_context(_destination(stage, store))
        text = config(database, ports=ports, ack=ack, batch="{timeout: 50ms}")
        load = stack.enter_context(stage.load_at(ports, clients=6, rate=1500, resend=False))
        for _ in range(kills):
            with stage.life(text) as daemon:
                if rng.random() < 0.8:
                    daemon.wait_until_ready()
                    time.sleep(rng.uniform(0.0, 1.0))
                else:
                    time.sleep(rng.uniform(0.2, 2.0))
                daemon.signal(signal.SIGKILL)
        outcome = last_life(stage, text, load, database)
    return outcome.but(note=f"{kills} kills, seed {seed}")


def killed_with_reused_files(stage: Stage) -> Outcome:
    """While segments fill in a moment, so that the newest lies in a file that held records before."""
    kills = stage.pick(8, 60)
    ports = stable_ports()
    reused = 0
    with ExitStack() as stack:
        database = stage.sqlite()
        text = config(database, ports=ports, batch="{timeout: 50ms}", queue=", queue_size: 4MiB")
        load = stack.enter_context(stage.load_at(ports, clients=6, rate=1500, padding=3000, resend=False))
        for _ in range(kills):
            with stage.life(text) as daemon:
                daemon.wait_until_ready()
                load.wait_for(1500)
                time.sleep(random.uniform(0.0, 0.5))
                daemon.signal(signal.SIGKILL)
                daemon.wait()
            reused += _reused_files(stage.directory) > 0
        outcome = last_life(stage, text, load, database)
    short = [] if reused >= kills / 2 else [f"only {reused} times there was a file that was used again"]
    return outcome.but(*short, note=f"{kills} kills, {reused} with files that were used again")


def _reused_files(directory: Path) -> int:
    headers = [
        path.read_bytes()[:SEGMENT_HEADER_SIZE] for path in (directory / "data" / "queue").rglob("*.seg")
    ]
    return sum(int.from_bytes(header[8:12], "little") == REUSED_VERSION for header in headers)


def killed_before_answer(stage: Stage, *, store: str, runs: tuple[int, int], ack: str = "disk") -> Outcome:
    """Between the moment in which a request is safe and its answer: clients send the same again to the next process."""
    kills = stage.pick(*runs)
    ports = stable_ports()
    with ExitStack() as stack:
        database = stack.enter_context(_destination(stage, store))
        text = config(database, ports=ports, ack=ack, batch="{timeout: 50ms}")
        proxies = [stack.enter_context(closing(Proxy(port))) for port in ports]
        near = proxies[0].port, proxies[1].port
        load = stack.enter_context(stage.load_at(near, clients=6, rate=600))
        for _ in range(kills):
            with stage.life(text) as daemon:
                daemon.wait_until_ready()
                _wait_for_all(load)
                for proxy in proxies:
                    proxy.hold_answers.set()
                _wait_for_requests(daemon, 4)
                daemon.signal(signal.SIGKILL)
                daemon.wait()
            for proxy in proxies:
                proxy.cut()
                proxy.hold_answers.clear()
        outcome = last_life(stage, text, load, database)
        again = sum(request.silent > 0 and request.outcome == ACKED for request in load.requests)
    short = [] if again >= 2 * kills else [f"only {again} requests came again"]
    return outcome.but(*short, note=f"{kills} kills, {again} requests came again")


def _wait_for_all(load: Load) -> None:
    """Each client has an answer of this life: one of gRPC that is just connecting sends nothing while answers are held."""
    before = len(load.requests)
    eventually(
        lambda: (
            len({one.client for one in load.requests[before:] if one.outcome == ACKED})
            == len(load.plan.clients)
        ),
        within_s=60,
        what="an answer for every client",
    )


def _wait_for_requests(daemon: Daemon, number: int) -> None:
    before = daemon.metric("otelcol_receiver_requests", outcome="success")
    eventually(
        lambda: daemon.metric("otelcol_receiver_requests", outcome="success") >= before + number,
        what="requests that are taken",
    )


def killed_after_commit(stage: Stage, *, runs: tuple[int, int] = (2, 30)) -> Outcome:
    """Between the COMMIT at the database and its answer: the queue knows nothing of what is stored."""
    kills = stage.pick(*runs)
    ports = stable_ports()
    with ExitStack() as stack:
        database = stack.enter_context(stage.postgresql(timescaledb=True))
        proxy, near = stack.enter_context(behind_a_proxy(database))
        text = config(near, ports=ports)
        load = stack.enter_context(stage.load_at(ports, rate=500, resend=False))
        for _ in range(kills):
            with proxy.once("pause-answer") as wait, stage.life(text) as daemon:
                wait(60)
                daemon.signal(signal.SIGKILL)
                daemon.wait()
            proxy.restore()
        outcome = last_life(stage, text, load, database)
    return outcome.but(note=f"{kills} kills")


def terminated(stage: Stage, *, when: str) -> Outcome:
    """SIGTERM under load: exit 0 within the grace, and what is not stored is stored by the next process."""
    grace_s = 5.0
    ports = stable_ports()
    problems = []
    with ExitStack() as stack:
        database = stack.enter_context(stage.postgresql(timescaledb=True))
        proxy, near = stack.enter_context(behind_a_proxy(database))
        text = config(near, ports=ports, service=f"shutdown_timeout: {grace_s:.0f}s")
        load = stack.enter_context(stage.load_at(ports, rate=500, resend=False))
        for _ in range(stage.pick(1, 10)):
            with stage.life(text) as daemon:
                daemon.wait_until_ready()
                load.wait_for(200)
                _prepare(proxy, when, load)
                began = time.monotonic()
                code = daemon.stop()
                took = time.monotonic() - began
                if code or took > grace_s + 2:
                    problems.append(f"exit code {code} after {took:.1f} s: {''.join(daemon.stderr[-3:])}")
            proxy.restore()
        outcome = last_life(stage, text, load, database)
    return outcome.but(*problems)


def _prepare(proxy: Proxy, when: str, load: Load) -> None:
    match when:
        case "down":
            proxy.refuse()
            load.wait_for(500)
        case "mid-copy":
            with proxy.once("stall-copy") as wait:
                wait(30)
        case "replay":
            proxy.refuse()
            load.wait_for(2000)
            proxy.restore()
            proxy.delay_s = 0.05


FAULTS: dict[str, Callable[[Stage], Outcome]] = {
    "kill-sqlite": partial(killed, store="sqlite", share=0.5),
    "kill-postgresql": partial(killed, store="postgresql", share=0.5),
    "kill-ack-stored": partial(killed, store="postgresql", ack="stored", share=0.1),
    "kill-reused-files": killed_with_reused_files,
    "kill-before-answer": partial(killed_before_answer, store="sqlite", runs=(4, 60)),
    "kill-before-answer-stored": partial(
        killed_before_answer, store="postgresql", runs=(2, 30), ack="stored"
    ),
    "kill-after-commit": killed_after_commit,
    "sigterm": partial(terminated, when="up"),
    "sigterm-database-down": partial(terminated, when="down"),
    "sigterm-mid-copy": partial(terminated, when="mid-copy"),
    "sigterm-replay": partial(terminated, when="replay"),
}
