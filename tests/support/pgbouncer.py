"""PgBouncer in transaction mode before a server of the tests: a real one, where its binary is installed."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

WITHOUT_PGBOUNCER: Final = "needs PgBouncer: install the package pgbouncer"
_START_TIMEOUT_S: Final = 20.0
_PLACES: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))

# As people run it, save for the waits: a server that is away is tried again soon.
_SETTINGS: Final = """
[databases]
{database} = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
max_client_conn = 200
server_login_retry = 1
"""


class PgBouncer:
    """A running PgBouncer. `url` leads to a database through it; `stop` and `start` keep the port."""

    def __init__(self, home: Path, url: str, servers: int) -> None:
        server = conninfo_to_dict(url)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"postgresql://{server['user']}@127.0.0.1:{port}/{server['dbname']}"
        self._settings = home / "pgbouncer.ini"
        self._settings.write_text(
            _SETTINGS.format(
                database=server["dbname"], host=server["host"], port=server["port"], user=server["user"],
                listen_port=port, servers=servers,
            )
        )  # fmt: skip
        self._log = home / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it takes connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [_binary(), self._settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_as_user()
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"no pooler: {error}\n{self._log.read_text()[-4000:]}") from error
                time.sleep(0.02)

    def stop(self) -> None:
        """End it at once: every connection through it breaks, wherever it was."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextlib.contextmanager
def pgbouncer(url: str, *, servers: int) -> Iterator[PgBouncer]:
    """One before the database at `url`, with at most so many connections to it. Skips where there is no PgBouncer."""
    if not shutil.which("pgbouncer", path=_PLACES):
        pytest.skip(WITHOUT_PGBOUNCER)
    with tempfile.TemporaryDirectory(prefix="collector-pgbouncer-") as name:
        home = Path(name)
        home.chmod(0o755)
        pooler = PgBouncer(home, url, servers)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.stop()


def _binary() -> str:
    found = shutil.which("pgbouncer", path=_PLACES)
    assert found
    return found


def _as_user() -> dict[str, Any]:
    """It refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
