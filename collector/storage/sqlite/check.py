"""`SqliteStore.check`: step by step, whether a file can be used."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from collector.model.errors import TelemetryError
from collector.pipeline.component import CheckStep
from collector.storage.sqlite import schema, statements
from collector.storage.sqlite.connections import Connections


def check(connections: Connections, edition: str, now_unix_nano: int) -> list[CheckStep]:
    """Try step by step, and stop at the first that fails."""
    each: tuple[tuple[str, Callable[[], str]], ...] = (
        ("resolve", lambda: _resolve(connections)),
        ("open", lambda: _open(connections, edition)),
        ("schema", lambda: _schema(connections)),
        ("write and roll back", lambda: _write(connections, now_unix_nano)),
    )
    steps: list[CheckStep] = []
    for name, step in each:
        try:
            steps.append(CheckStep(name, True, step()))
        except (TelemetryError, OSError) as error:
            steps.append(CheckStep(name, False, str(error)))
            break
    return steps


def _resolve(connections: Connections) -> str:
    if connections.path is None:
        return "in memory"
    connections.require_file()
    return str(connections.path.absolute())


def _open(connections: Connections, edition: str) -> str:
    with connections.reading("open") as connection:
        [[journal]] = connection.execute("PRAGMA journal_mode")
        [[size]] = connection.execute(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        )
    return f"{edition}, journal {journal}, {size} bytes"


def _schema(connections: Connections) -> str:
    with connections.reading("read the schema version") as connection:
        status = schema.status(connection)
    schema.require_usable(status)
    return f"version {status.current}, this program's is {status.expected}"


def _write(connections: Connections, now_unix_nano: int) -> str:
    with connections.writing("write") as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            statements.put_position(connection, UUID(int=0), 0, now_unix_nano)
        finally:
            connection.execute("ROLLBACK")
    return "nothing is left of it"
