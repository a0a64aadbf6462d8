"""The database goes away and comes back; the network in between does what networks do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from psycopg.conninfo import conninfo_to_dict

from tests.faults.load import Load
from tests.faults.outcome import Outcome
from tests.faults.play import play, wait_for_retry
from tests.faults.proxy import Proxy
from tests.faults.stage import MIB, QUICK, Stage, config, server
from tests.support.daemon import Daemon
from tests.support.destination import Destination, postgresql_destination
from tests.support.postgres_server import LocalServer


def _local() -> LocalServer:
    local = server().local
    assert local is not None
    return local


@contextmanager
def stopped(*, immediately: bool = False) -> Iterator[None]:
    """The database server is down for the length of a `with` block."""
    _local().stop(immediately=immediately)
    try:
        yield
    finally:
        _local().start()


@contextmanager
def behind_a_proxy(database: Destination) -> Iterator[tuple[Proxy, Destination]]:
    """The same database by way of a proxy."""
    parts = conninfo_to_dict(database.url)
    proxy = Proxy(int(str(parts["port"])))
    try:
        url = database.url.replace(f":{parts['port']}/", f":{proxy.port}/")
        yield proxy, postgresql_destination(url, exporter=database.exporter)
    finally:
        proxy.close()


def outage(stage: Stage, *, short: float = 6, long: float = 60, per_s: float = 1000) -> Outcome:
    """Stopped for a while under steady load, and started again: nobody is refused, and all is stored."""
    seconds, rate = stage.seconds(short, long), stage.rate(per_s, per_s)

    def disturb(daemon: Daemon, load: Load) -> None:
        with stopped():
            time.sleep(seconds)
            load.wait_for(1)

    with stage.postgresql(timescaledb=True) as database:
        outcome = play(stage, disturb, database, rate=rate, catch_up_s=60 + seconds)
    note = f"down {seconds:.0f} s at {rate:.0f} items/s; peak {stage.peak_rss // MIB} MiB"
    return outcome.but(note=note)


def crashed_mid_copy(stage: Stage) -> Outcome:
    """The server crashes while rows of a COPY are on their way, again and again."""
    runs = stage.pick(2, 20)

    with stage.postgresql(timescaledb=True) as database, behind_a_proxy(database) as (proxy, near):

        def disturb(daemon: Daemon, load: Load) -> None:
            for _ in range(runs):
                with proxy.once("pause-copy") as wait:
                    wait(30)
                with stopped(immediately=True):
                    proxy.restore()
                    load.wait_for(20)
                load.wait_for(200)

        outcome = play(stage, disturb, database, text=config(near))
    return outcome.but(note=f"{runs} times")


def cut(stage: Stage, *, plan: str) -> Outcome:
    """The connection is reset at the worst moment: rows half sent, COMMIT not sent, COMMIT's answer lost."""
    runs = stage.pick(3, 40)
    with stage.postgresql(timescaledb=True) as database, behind_a_proxy(database) as (proxy, near):

        def disturb(daemon: Daemon, load: Load) -> None:
            for _ in range(runs):
                with proxy.once(plan) as wait:
                    wait(30)

        outcome = play(stage, disturb, database, text=config(near))
    return outcome.but(note=f"{runs} times")


def half_open(stage: Stage) -> Outcome:
    """Everything between daemon and database is swallowed, nothing is closed: noticed after `timeout`."""
    quick = f"{QUICK}, timeout: 2s, connect_timeout: 2s"
    with stage.postgresql() as database, behind_a_proxy(database) as (proxy, near):

        def disturb(daemon: Daemon, load: Load) -> None:
            with proxy.once("stall-copy") as wait:  # the connection in use is dead for good, new ones work
                wait(30)
            wait_for_retry(daemon, "connection", "timeout", within_s=60)
            proxy.swallow()  # now every one
            time.sleep(stage.pick(4, 60))
            proxy.restore()

        return play(stage, disturb, database, text=config(near, extra=quick))


def slow(stage: Stage) -> Outcome:
    """A network that delays every piece, then one that carries a byte now and then, then a good one."""
    with stage.postgresql() as database, behind_a_proxy(database) as (proxy, near):

        def disturb(daemon: Daemon, load: Load) -> None:
            proxy.delay_s = 0.1
            time.sleep(stage.pick(3, 60))
            proxy.delay_s, proxy.rate = 0.0, 1
            time.sleep(stage.pick(2, 60))
            proxy.restore()

        return play(stage, disturb, database, text=config(near))


def unreachable(stage: Stage) -> Outcome:
    """Connections are refused, taken and reset, refused again: in quick succession."""
    with stage.postgresql() as database, behind_a_proxy(database) as (proxy, near):

        def disturb(daemon: Daemon, load: Load) -> None:
            for _ in range(stage.pick(3, 30)):
                proxy.refuse()
                load.wait_for(50)
                proxy.restore()
                load.wait_for(50)
                proxy.cut()

        return play(stage, disturb, database, text=config(near))


FAULTS: dict[str, Callable[[Stage], Outcome]] = {
    "outage": outage,
    "crash-mid-copy": crashed_mid_copy,
    "cut-mid-copy": partial(cut, plan="mid-copy"),
    "cut-before-commit": partial(cut, plan="commit"),
    "cut-after-commit": partial(cut, plan="answer"),
    "half-open": half_open,
    "slow-network": slow,
    "unreachable": unreachable,
}
# As long as otelcol gives up after twice, and longer than a test may take.
LONG_ONLY: dict[str, Callable[[Stage], Outcome]] = {
    "outage-10-minutes": partial(outage, long=600, per_s=2000),
}
