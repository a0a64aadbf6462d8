"""Numbered forward-only migrations: finding them, and deciding which are to be applied.

Dialects run them, each in one transaction together with its line in `otlp_schema_migrations`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib import resources
from typing import Final

from collector.model.errors import PermanentError
from collector.storage.store import Migration, SchemaStatus

VERSION_TABLE: Final = "otlp_schema_migrations"
_FILE: Final = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql")


def load(package: str) -> tuple[Migration, ...]:
    """Return the migrations in the folder `sql` of `package`, in order.

    Raises:
        ValueError: a file is not named `NNNN_name.sql`, or a number is missing.
    """
    migrations = []
    for file in sorted((resources.files(package) / "sql").iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        match = _FILE.fullmatch(file.name)
        if match is None:
            raise ValueError(f"{file.name} is not named like 0001_name.sql")
        sql = file.read_text(encoding="utf-8")
        migrations.append(Migration(int(match[1]), match[2], sql, checksum(sql)))
    if [migration.version for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise ValueError(f"migrations of {package} are not numbered 1, 2, 3, …")
    return tuple(migrations)


def checksum(sql: str) -> str:
    """What identifies the content of a migration."""
    return sha256(sql.encode()).hexdigest()


def status(known: Sequence[Migration], applied: Mapping[int, str]) -> SchemaStatus:
    """Compare migrations `known` to this program with those `applied`: checksums by version.

    Raises:
        PermanentError: one was applied with another content than the one known under its number.
    """
    for migration in known:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise PermanentError(
                f"migration {migration.version} ({migration.name}) was applied with another content: "
                "this database belongs to another program, or to an unreleased version of this one",
                reason="schema",
            )
    pending = tuple(migration for migration in known if migration.version not in applied)
    return SchemaStatus(max(applied, default=0), known[-1].version, pending)
