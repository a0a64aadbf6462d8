"""The database is there and says no: for reasons that pass, so nothing may be dropped for them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.faults.limits import small_filesystem
from tests.faults.load import Load
from tests.faults.outcome import Outcome
from tests.faults.play import play, wait_for_retry
from tests.faults.stage import QUICK, Stage, config, server
from tests.support.daemon import Daemon
from tests.support.destination import Destination, postgresql_destination
from tests.support.eventually import eventually

_ROLE = "sidecar"


class Hands:
    """An administrator's hands on the database that the daemon writes to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = str(conninfo_to_dict(url)["dbname"])
        self._connection: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)

    def do(self, statement: str) -> list[Any]:
        """Run a statement; `{database}` is the database and `{role}` the daemon's role in it."""
        cursor = self._connection.execute(
            sql.SQL(statement).format(database=sql.Identifier(self.name), role=sql.Identifier(_ROLE))
        )
        return cursor.fetchall() if cursor.description else []

    def end_sessions(self, function: str = "pg_terminate_backend") -> None:
        """End every session of the daemon, or cancel what it does."""
        self.do(f"SELECT {function}(pid) FROM pg_stat_activity WHERE usename = '{_ROLE}'")

    def connect(self) -> psycopg.Connection[Any]:
        """Another session."""
        return psycopg.connect(self.url, autocommit=True)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def administered(stage: Stage) -> Iterator[tuple[Destination, Hands]]:
    """A database that belongs to a role without privileges, as the daemon should have, and hands on it."""
    with stage.postgresql() as database, ExitStack() as stack:
        hands = Hands(database.url)
        stack.callback(hands.close)
        if not hands.do(f"SELECT 1 FROM pg_roles WHERE rolname = '{_ROLE}'"):
            hands.do("CREATE ROLE {role} LOGIN")
        hands.do("ALTER DATABASE {database} OWNER TO {role}")
        address = conninfo_to_dict(database.url)
        url = f"postgresql://{_ROLE}@{address['host']}:{address['port']}/{address['dbname']}"
        yield postgresql_destination(url), hands


def _played(stage: Stage, disturb: Callable[[Daemon, Load, Hands], None], *, options: str = "") -> Outcome:
    with administered(stage) as (database, hands):
        text = config(database, extra=QUICK + options)
        return play(stage, lambda daemon, load: disturb(daemon, load, hands), database, text=text)


def too_many_connections(stage: Stage) -> Outcome:
    """No connection is left for the daemon's role (53300)."""

    def disturb(daemon: Daemon, load: Load, hands: Hands) -> None:
        hands.do("ALTER ROLE {role} CONNECTION LIMIT 0")
        try:
            hands.end_sessions()
            wait_for_retry(daemon, "too_many_connections")
        finally:
            hands.do("ALTER ROLE {role} CONNECTION LIMIT -1")

    return _played(stage, disturb)


def read_only(stage: Stage) -> Outcome:
    """The database only reads, as after a failover to a standby (25006)."""

    def disturb(daemon: Daemon, load: Load, hands: Hands) -> None:
        hands.do("ALTER DATABASE {database} SET default_transaction_read_only = on")
        hands.end_sessions()
        wait_for_retry(daemon, "read_only")
        hands.do("ALTER DATABASE {database} RESET default_transaction_read_only")
        hands.end_sessions()

    return _played(stage, disturb)


def statement_timeout(stage: Stage) -> Outcome:
    """Somebody holds a lock for longer than an attempt may take (57014)."""

    def disturb(daemon: Daemon, load: Load, hands: Hands) -> None:
        with hands.connect() as other, other.transaction():
            other.execute("LOCK TABLE telemetry.otlp_positions IN ACCESS EXCLUSIVE MODE")
            wait_for_retry(daemon, "timeout", "lock_timeout")

    return _played(stage, disturb, options=", timeout: 1s")


def deadlock(stage: Stage) -> Outcome:
    """The daemon's transaction is the one that a deadlock's victim is made of (40P01)."""

    def disturb(daemon: Daemon, load: Load, hands: Hands) -> None:
        with hands.connect() as other, other.transaction():
            # The server looks for deadlocks once a session has waited for two seconds; of this one it never does.
            other.execute("SET LOCAL deadlock_timeout = '1h'")
            other.execute(
                "LOCK TABLE telemetry.otlp_logs, telemetry.otlp_spans, telemetry.otlp_number_points IN SHARE MODE"
            )
            waiting = (
                "SELECT 1 FROM pg_stat_activity WHERE usename = 'sidecar' AND wait_event_type = 'Lock' "
                "AND query LIKE 'COPY%'"
            )
            eventually(lambda: hands.do(waiting), what="the daemon waiting for a lock")
            other.execute("SELECT 1 FROM telemetry.otlp_positions FOR UPDATE")
            wait_for_retry(daemon, "deadlock")

    return _played(stage, disturb)


def terminated(stage: Stage) -> Outcome:
    """An administrator ends the daemon's sessions, and cancels its statements, now and then (57P01, 57014)."""

    def disturb(daemon: Daemon, load: Load, hands: Hands) -> None:
        for number in range(stage.pick(20, 400)):
            hands.end_sessions("pg_terminate_backend" if number % 2 else "pg_cancel_backend")
            time.sleep(0.05)
        # At least one that was at work, and not merely idle: what it did is undone, and done again.
        with hands.connect() as other, other.transaction():
            other.execute("LOCK TABLE telemetry.otlp_positions IN ACCESS EXCLUSIVE MODE")
            waiting = f"SELECT 1 FROM pg_stat_activity WHERE usename = '{_ROLE}' AND wait_event_type = 'Lock'"
            eventually(lambda: hands.do(waiting), what="the daemon waiting for a lock")
            hands.end_sessions()
            wait_for_retry(daemon, "shutdown", "connection")

    return _played(stage, disturb)


def disk_full(stage: Stage) -> Outcome:
    """No space is left where the database keeps its tables (53100), until somebody makes some."""
    with small_filesystem(mib=64) as folder, administered(stage) as (database, hands):
        local = server().local
        assert local is not None
        space = folder / "tablespace"
        space.mkdir()
        local.give(space)
        ballast = folder / "ballast"

        def disturb(daemon: Daemon, load: Load) -> None:
            _fill(ballast)
            wait_for_retry(daemon, "disk_full", within_s=60)
            ballast.unlink()

        name = f"small_{os.getpid()}_{time.monotonic_ns()}"
        hands.do(f"CREATE TABLESPACE {name} LOCATION '{space}'")
        try:
            hands.do(f"GRANT CREATE ON TABLESPACE {name} TO {{role}}")
            # What is made from now on, is made there.
            hands.do(f"ALTER DATABASE {{database}} SET default_tablespace = '{name}'")
            outcome = play(stage, disturb, database, padding=2000)
        finally:
            hands.do("DROP SCHEMA IF EXISTS telemetry CASCADE")
            hands.do(f"DROP TABLESPACE {name}")
        return outcome


def _fill(path: Path) -> None:
    """Write until the file system is full."""
    subprocess.run(["dd", "if=/dev/zero", f"of={path}", "bs=64k"], capture_output=True, check=False)


FAULTS: dict[str, Callable[[Stage], Outcome]] = {
    "too-many-connections": too_many_connections,
    "read-only": read_only,
    "statement-timeout": statement_timeout,
    "deadlock": deadlock,
    "terminated": terminated,
    "database-disk-full": disk_full,
}
