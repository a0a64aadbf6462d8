"""A database for all tests of a module that only read: filling one takes longer than asking it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.postgres import Server

NAMES = ("sqlite", "postgresql", "timescaledb")


@contextmanager
def module_database(
    name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of an empty database, one of `NAMES`, that is gone afterwards."""
    if name == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('module') / 'telemetry.db'}"
        return
    server: Server = request.getfixturevalue(f"{name}_server")
    url = server.create_database(timescaledb=name == "timescaledb")
    yield url
    server.drop_database(url)
