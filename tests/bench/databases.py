"""The PostgreSQL that benches use: found as for the tests (tests/support/postgres.py), with a server's settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.postgres import Server, installation, start_server


@contextmanager
def postgres() -> Iterator[Server | None]:
    """A server of one's own; None where no PostgreSQL is installed."""
    found = installation()
    if found is None or found.directory is None:
        yield None
        return
    server = start_server()
    try:
        yield server
    finally:
        server.close(balanced=False)  # costs are made up, some of one level only
