"""The proxy does to a connection what it says, and the database is left as each fault means it to be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from collector.storage.postgresql.connections import Connection
from tests.faults.proxy import Proxy
from tests.support.postgres import Server


@pytest.fixture
def url(postgresql_url: str) -> str:
    """A database with an empty table of numbers."""
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE numbers (number integer)")
    return postgresql_url


@pytest.fixture
def proxy(postgresql_server: Server) -> Iterator[Proxy]:
    with psycopg.connect(postgresql_server.dsn) as connection:
        port = connection.info.port
    with closing(Proxy(port)) as proxy:
        yield proxy


def through(proxy: Proxy, url: str) -> Connection:
    """A connection to the same database by way of the proxy."""
    database = url.partition("?")[0].rpartition("/")[2]
    address = make_conninfo(url, host="127.0.0.1", port=proxy.port, dbname=database)
    return psycopg.connect(address, autocommit=True, connect_timeout=2)


def copy_numbers(connection: Connection, count: int = 10_000) -> None:
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy("COPY numbers FROM STDIN") as copy,
    ):
        for number in range(count):
            copy.write_row((number,))


def count_numbers(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM numbers").fetchone()
        assert row is not None
        return int(row[0])


def test_it_passes_everything_on(proxy: Proxy, url: str) -> None:
    with through(proxy, url) as connection:
        copy_numbers(connection)
    assert count_numbers(url) == 10_000


@pytest.mark.parametrize(("plan", "left"), [("mid-copy", 0), ("commit", 0), ("answer", 10_000)])
def test_a_connection_is_cut_at_the_moment_that_was_asked_for(
    plan: str, left: int, proxy: Proxy, url: str
) -> None:
    """The client learns the same each time, that the connection is gone; the table tells what happened."""
    with proxy.once(plan) as wait, closing(through(proxy, url)) as connection:
        with pytest.raises(psycopg.OperationalError):
            copy_numbers(connection)
        wait(5)
    assert count_numbers(url) == left
    with through(proxy, url) as connection:  # the next one is as if nothing had been
        copy_numbers(connection, 5)
    assert count_numbers(url) == left + 5


def test_refused_and_restored(proxy: Proxy, url: str) -> None:
    with closing(through(proxy, url)) as connection:
        proxy.refuse()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        through(proxy, url)
    proxy.restore()
    with through(proxy, url) as connection:
        copy_numbers(connection, 5)


def test_swallowed_and_restored(proxy: Proxy, url: str) -> None:
    """Half-open: connections are made and nobody answers."""
    proxy.swallow()
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        through(proxy, url)
    proxy.restore()
    with through(proxy, url) as connection:
        copy_numbers(connection, 5)
