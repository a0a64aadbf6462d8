"""SQL with names put in as identifiers. Every statement names its schema: a pooler may share search_path."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, LiteralString

from psycopg import sql

from collector.storage.tables import Table

LOCK_MIGRATE: Final = "migrate"
LOCK_MAINTAIN: Final = "maintain"
LOCK_COSTS: Final = "costs"


def compose(statement: LiteralString, schema: str, **parts: Table | str | sql.Composable) -> sql.Composed:
    """`statement` with `{schema}` as an identifier, and each of `parts`.

    A `Table` becomes `schema.name`, a `str` an identifier; what is SQL already stays.
    """
    return sql.SQL(statement).format(
        schema=sql.Identifier(schema), **{name: _part(schema, part) for name, part in parts.items()}
    )


def lock_key(schema: str, purpose: str) -> int:
    """The advisory lock of `purpose` on `schema`: the same number in every process."""
    digest = blake2b(f"collector:{purpose}:{schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _part(schema: str, part: Table | str | sql.Composable) -> sql.Composable:
    if isinstance(part, Table):
        return sql.Identifier(schema, part.name)
    return sql.Identifier(part) if isinstance(part, str) else part
