"""Single items that the database refuses for ever: they become dead letters, and take no other with them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

from collector.model.clock import SystemClock
from collector.pipeline.dead_letters import FOLDER, DeadLetters
from collector.pipeline.disk_queue import QueueStorage
from collector.storage.store import open_store, store_for
from tests.faults.disks import fill
from tests.faults.generator import Request
from tests.faults.limits import small_filesystem
from tests.faults.load import numbers
from tests.faults.oracle import judge, read_books
from tests.faults.outages import behind_a_proxy
from tests.faults.outcome import Outcome
from tests.faults.play import wait_for_retry
from tests.faults.stage import Stage, caught_up, config, stable_ports
from tests.faults.stamp import Item, stamped_items, stored
from tests.support.daemon import ROOT, Daemon
from tests.support.destination import Destination
from tests.support.poison import refusing

Bad = Callable[[int], bool]


@contextmanager
def _destination(stage: Stage, store: str, rule: str) -> Iterator[Destination]:
    """A database with tables, and with a rule: it refuses what is bad."""
    with ExitStack() as stack:
        if store == "sqlite":
            database = stage.sqlite()
        else:
            database = stack.enter_context(stage.postgresql(timescaledb=store == "timescaledb"))
        with closing(store_for(_address(database))) as opened:
            opened.migrate()
        stack.enter_context(refusing(database.url, rule))
        yield database


def _address(database: Destination) -> str:
    return database.url.replace(
        "postgresql:", "timescaledb:" if database.exporter == "timescaledb" else "postgresql:"
    )


def dead_letters(queues: Path) -> Counter[Item]:
    """The stamped items among all dead letters below a directory of queues."""
    found: Counter[Item] = Counter()
    for folder in queues.glob(f"*/{FOLDER}"):
        letters = DeadLetters(QueueStorage(directory=queues), folder.parent.name, 1 << 30, SystemClock())
        letters.open(0)
        with closing(letters):
            for letter in letters:
                assert letter.message
                found.update(stamped_items(letter.data))
    return found


def verdict(
    stage: Stage, requests: Sequence[Request], database: Destination, bad: Bad, queues: Path | None = None
) -> Outcome:
    """What the oracle says, with dead letters taken for stored; and that they are those that must be."""
    letters = dead_letters(queues or stage.directory / "data" / "queue")
    rows = stored(database.url)
    outcome = stage.judged(judge(requests, rows + letters))
    sent = {item for request in requests for item in numbers(request)}
    problems = []
    if wrong := [item for item in letters if not bad(item[1])]:
        problems.append(f"{len(wrong)} dead letters that nothing was wrong with, as {wrong[0]}")
    if wrong := [item for item in sent & rows.keys() if bad(item[1])]:
        problems.append(f"{len(wrong)} stored although refused, as {wrong[0]}")
    return outcome.but(
        *problems, note=f"{letters.total()} dead letters among {rows.total() + letters.total():,}"
    )


def _books(daemon: Daemon, *, lettered: int | None = None) -> list[str]:
    books = read_books(daemon)
    problems = books.problems()
    problems += [f"{name}: dropped {count}" for name, count in books.dropped.items() if count]
    found = sum(books.dead_lettered.values())
    if lettered is not None and found != lettered:
        problems.append(f"{found} dead-lettered by its own count, not {lettered}")
    return problems


def poisoned(stage: Stage, *, store: str, rule: str, bad: Bad, items: tuple[int, int]) -> Outcome:
    """Some of many rows are refused, in all three signals: they are kept with their reason, the rest is stored."""
    with ExitStack() as stack:
        database = stack.enter_context(_destination(stage, store, rule))
        daemon = stack.enter_context(stage.daemon(config(database, batch="{timeout: 1s}")))
        load = stack.enter_context(stage.load(daemon, items=200, most=stage.pick(*items) // 200))
        load.wait(240)
        caught_up(daemon, within_s=240)
        sent = [number for one in load.requests for _, number in numbers(one)]
        problems = _books(daemon, lettered=sum(bad(number) for number in sent))
        if refused := {code for request in load.requests for code in request.codes}:
            problems.append(f"clients met {', '.join(sorted(refused))}")
        if store == "timescaledb" and database.exporter == "timescaledb":
            with closing(open_store(_address(database))) as opened:
                if opened.arrival() != "compressed on arrival":
                    problems.append(f"the rule made rows arrive otherwise: {opened.arrival()}")
        if code := daemon.stop():
            problems.append(f"exit code {code}")
        outcome = verdict(stage, load.requests, database, bad)
    return outcome.but(*problems)


def retried(stage: Stage) -> Outcome:
    """When the rule is gone, dead letters are put back by the command, and stored like the rest."""
    with ExitStack() as stack:
        database = stack.enter_context(stage.postgresql(timescaledb=True))
        with closing(store_for(_address(database))) as opened:
            opened.migrate()
        text = config(database)
        with refusing(database.url, "{n} % 10 = 3"), stage.daemon(text) as daemon:
            with stage.load(daemon, items=50, most=stage.pick(600, 6000) // 50) as load:
                load.wait(120)
                caught_up(daemon)
            daemon.stop()
        lettered = dead_letters(stage.directory / "data" / "queue").total()
        command = [sys.executable, "-m", "collector", "queue", "retry", "--all", "--directory"]
        done = subprocess.run(
            [*command, "data/queue"],
            cwd=stage.directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
        with stage.daemon(text) as daemon:
            caught_up(daemon)
            problems = _books(daemon, lettered=0)
            daemon.stop()
        outcome = verdict(stage, load.requests, database, lambda number: False)
    if done.returncode or not lettered:
        problems.append(f"exit code {done.returncode} of the command, {lettered} dead letters before")
    return outcome.but(*problems, note=f"{lettered} dead letters put back")


def killed(stage: Stage, *, store: str, runs: tuple[int, int]) -> Outcome:
    """Killed while bad rows are looked for, and between keeping them and the COMMIT."""
    kills = stage.pick(*runs)
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    ports = stable_ports()
    with ExitStack() as stack:
        database = near = stack.enter_context(_destination(stage, store, "{n} % 251 = 7"))
        proxy = None
        if store != "sqlite":
            proxy, near = stack.enter_context(behind_a_proxy(database))
        text = config(near, ports=ports, batch="{timeout: 200ms}")
        load = stack.enter_context(stage.load_at(ports, rate=400, items=20, resend=False))
        if proxy is not None:
            proxy.delay_s = 0.002
        queues = stage.directory / "data" / "queue"
        for run in range(kills):
            with stage.daemon(text) as daemon:
                if run % 2:
                    _wait_for_letter(queues)
                    time.sleep(rng.uniform(0.0, 0.01))
                else:
                    time.sleep(rng.uniform(0.0, 1.5))
                daemon.signal(signal.SIGKILL)
                daemon.wait()
        if proxy is not None:
            proxy.restore()
        with stage.daemon(text) as daemon:
            load.finish()
            caught_up(daemon)
            problems = _books(daemon)
            if code := daemon.stop():
                problems.append(f"exit code {code}")
        outcome = verdict(stage, load.requests, database, lambda number: number % 251 == 7)
    return outcome.but(*problems, note=f"{outcome.note}; {kills} kills, seed {seed}")


def _wait_for_letter(queues: Path) -> None:
    """Until the moment in which one is written."""

    def size() -> int:
        return sum(path.stat().st_size for path in queues.glob(f"*/{FOLDER}/*.seg"))

    before, deadline = size(), time.monotonic() + 120
    while size() == before:
        assert time.monotonic() < deadline, "no dead letter was written"
        time.sleep(0.001)


def disk_full(stage: Stage) -> Outcome:
    """There is no room for a dead letter: its batch waits, and is neither lost nor stored without it."""
    with ExitStack() as stack:
        folder = stack.enter_context(small_filesystem(mib=24))
        database = stack.enter_context(_destination(stage, "timescaledb", "{n} % 50 = 3"))
        proxy, near = stack.enter_context(behind_a_proxy(database))
        queues = folder / "queue"
        daemon = stack.enter_context(stage.daemon(config(near, directory=queues)))
        load = stack.enter_context(stage.load(daemon, rate=1500))
        load.wait_for(200)
        for _ in range(stage.pick(1, 10)):
            ballast = folder / "ballast"
            proxy.refuse()
            load.wait_for(4000)  # so many letters that no half-filled block has room for them
            fill(ballast)
            proxy.restore()
            wait_for_retry(daemon, "disk_full", "disk_failed", within_s=60)
            ballast.unlink()
            load.wait_for(300)
        load.finish()
        caught_up(daemon)
        problems = _books(daemon)
        if code := daemon.stop():
            problems.append(f"exit code {code}")
        outcome = verdict(
            stage,
            load.requests,
            database,
            lambda number: number % 50 == 3,
            queues,
        )
    return outcome.but(*problems)


_ONE = partial(poisoned, rule="{n} = 4321", bad=lambda number: number == 4321, items=(5000, 30_000))

FAULTS: dict[str, Callable[[Stage], Outcome]] = {
    "poison-postgresql": partial(_ONE, store="postgresql"),
    "poison-timescaledb": partial(_ONE, store="timescaledb"),
    "poison-sqlite": partial(_ONE, store="sqlite"),
    "poison-several": partial(
        poisoned,
        store="timescaledb",
        rule="{n} % 97 = 5",
        bad=lambda number: number % 97 == 5,
        items=(5000, 30_000),
    ),
    "poison-all": partial(
        poisoned, store="postgresql", rule="{n} >= 0", bad=lambda number: True, items=(1200, 10_000)
    ),
    "poison-retry": retried,
    "poison-kill-postgresql": partial(killed, store="timescaledb", runs=(4, 60)),
    "poison-kill-sqlite": partial(killed, store="sqlite", runs=(3, 40)),
    "poison-disk-full": disk_full,
}
