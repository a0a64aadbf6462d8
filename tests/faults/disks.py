"""The disk below the queue: full, damaged, and holding more than there is memory."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from collector.pipeline.queue_directory import read_position
from collector.pipeline.queue_scan import open_segment
from collector.pipeline.queue_segment import SEGMENT_HEADER_SIZE
from tests.faults.limits import small_filesystem
from tests.faults.load import Load
from tests.faults.oracle import judge, read_books
from tests.faults.outages import behind_a_proxy
from tests.faults.outcome import Outcome
from tests.faults.play import play, wait_until_stored
from tests.faults.proxy import Proxy
from tests.faults.stage import MIB, Stage, caught_up, config, peak_rss, stable_ports
from tests.faults.stamp import stored
from tests.support.daemon import Daemon
from tests.support.destination import Destination
from tests.support.eventually import eventually


def disk_full(stage: Stage) -> Outcome:
    """The queue's disk is full, by others or by the queue itself: clients are asked to come again, and all goes on."""
    with ExitStack() as stack:
        folder = stack.enter_context(small_filesystem(mib=24))
        database = stack.enter_context(stage.postgresql())
        proxy, near = stack.enter_context(behind_a_proxy(database))
        text = config(near, directory=folder / "queue")

        def disturb(daemon: Daemon, load: Load) -> None:
            for _ in range(stage.pick(1, 10)):
                ballast = folder / "ballast"
                fill(ballast)
                _wait_for_refusals(daemon)
                ballast.unlink()
                load.wait_for(200)
            proxy.refuse()  # nothing leaves the queue: now it fills the disk
            _wait_for_refusals(daemon)
            proxy.restore()
            load.wait_for(200)

        return play(stage, disturb, database, text=text, refusals=True, padding=3000, rate=1500, clients=6)


def fill(path: Path) -> None:
    """Write until the file system is full, to the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def _wait_for_refusals(daemon: Daemon) -> None:
    before = daemon.metric("otelcol_receiver_requests", outcome="refused")
    eventually(
        lambda: daemon.metric("otelcol_receiver_requests", outcome="refused") > before + 3,
        within_s=60,
        what="refusals",
    )


@contextmanager
def _backlog(
    stage: Stage, *, items: int, before: int = 0, options: str = ", queue_size: 2GiB", **load: int
) -> Iterator[tuple[str, Load, Proxy, Destination]]:
    """A daemon that took `items` while its database was away, and was killed. `before` were for the database."""
    ports = stable_ports()
    with ExitStack() as stack:
        database = stack.enter_context(stage.postgresql())
        proxy, near = stack.enter_context(behind_a_proxy(database))
        text = config(near, ports=ports, queue=options)
        clients = stack.enter_context(stage.load_at(ports, resend=False, **load))
        with stage.life(text) as daemon:
            daemon.wait_until_ready()
            wait_until_stored(daemon)
            clients.wait_for(before, within_s=300)
            proxy.refuse()
            clients.wait_for(items, within_s=300)
            clients.finish()
            daemon.signal(signal.SIGKILL)
            daemon.wait()
        yield text, clients, proxy, database


def backlog(stage: Stage) -> Outcome:
    """More waits on the disk than the daemon may have of memory: it starts in seconds, and streams."""
    mib = stage.pick(200, 1500)
    padding = 20_000
    with _backlog(stage, items=mib * MIB // padding, padding=padding) as (
        text,
        load,
        proxy,
        database,
    ):
        proxy.restore()
        queued = sum(path.stat().st_size for path in (stage.directory / "data" / "queue").rglob("*.seg"))
        began = time.monotonic()
        with stage.life(text) as daemon:
            daemon.wait_until_ready()
            ready_s = time.monotonic() - began
            at_start = peak_rss(daemon)
            caught_up(daemon, within_s=600)
            peak = peak_rss(daemon)
            problems = read_books(daemon).problems()
            daemon.stop()
        outcome = stage.verdict(load.requests, database)
    if ready_s > 5:
        problems.append(f"ready after {ready_s:.1f} s")
    return outcome.but(
        *problems,
        note=f"{queued // MIB} MiB queued, ready in {ready_s:.1f} s with {at_start // MIB} MiB, peak {peak // MIB} MiB",
    )


def damaged(stage: Stage, *, how: str) -> Outcome:
    """Segments are damaged while the daemon is away: it starts, and counts exactly what is gone."""
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    # Of the first segment, the database gets a part.
    with _backlog(
        stage, items=3000, before=rng.randrange(500, 1500), padding=3000, options=", queue_size: 8MiB"
    ) as (text, load, proxy, database):
        behind = 0
        # Sealed ones: what is missing at the end of the newest is no damage, but what was not acknowledged.
        for folder in sorted((stage.directory / "data" / "queue").iterdir()):
            segments = sorted(folder.glob("*.seg"))
            behind += _lose_position(folder, segments[0])
            if how == "torn":
                older = segments[0].read_bytes()[SEGMENT_HEADER_SIZE:]
                # Blocks that were an older file's, or this one's own where there is none, and some that were nobody's.
                with segments[-1].open("ab") as newest:
                    newest.write(older[:9000] + bytes(4096))
            elif len(segments) > 1:
                # One of which a part was delivered, and one of which nothing was.
                for segment in {segments[0], rng.choice(segments[1:-1] or segments[:1])}:
                    _damage(segment, how, rng)
        proxy.restore()
        with stage.daemon(text) as daemon:
            caught_up(daemon)
            problems = read_books(daemon).problems()
            # In records, each of which is a request here: of what is not there any more nobody knows the items.
            counted = int(daemon.metric("collector_exporter_queue_lost_records")) * load.plan.items
            if code := daemon.stop():
                problems.append(f"exit code {code}")
        verdict = judge(load.requests, stored(database.url))
    if verdict.lost != counted:
        problems.append(f"{verdict.lost} items are gone, {counted} are counted")
    if (how == "torn") != (not counted):
        problems.append(f"damage was {how}, and {counted} items are counted as lost")
    if not behind:
        problems.append("the database had nothing that the positions did not say")
    problems += [problem for problem in verdict.problems() if "lost" not in problem]
    return Outcome(
        runs=1,
        acked=verdict.acked,
        stored=verdict.stored,
        lost=max(0, verdict.lost - counted),
        doubled=verdict.doubled,
        problems=tuple(problems),
        note=f"{counted // load.plan.items} records destroyed and counted; {behind} were delivered and not noted; "
        f"seed {seed}",
    )


def _lose_position(folder: Path, first: Path) -> int:
    """Take away what was written down since segments were deleted last, as a power failure may; return its records."""
    released = read_position(folder)
    (folder / "position").unlink()
    return max(0, released + 1 - open_segment(int(first.stem), first, _salt(folder)).base)


def _salt(folder: Path) -> int:
    return int(json.loads((folder / "queue").read_text())["salt"])


def _damage(path: Path, how: str, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content) // 4, len(content) * 3 // 4)
    match how:
        case "flipped":
            content[at] ^= 1 << rng.randrange(8)
        case "zero-filled":
            content[at : at + 4096] = bytes(min(4096, len(content) - at))
        case "truncated":
            del content[at:]
    path.write_bytes(content)


FAULTS: dict[str, Callable[[Stage], Outcome]] = {
    "queue-disk-full": disk_full,
    "backlog": backlog,
    "segments-flipped": partial(damaged, how="flipped"),
    "segments-zero-filled": partial(damaged, how="zero-filled"),
    "segments-truncated": partial(damaged, how="truncated"),
    "segments-torn": partial(damaged, how="torn"),
}
