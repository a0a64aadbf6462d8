"""`database init`, `migrate` and `status`: the tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from collector.cli.database import human
from collector.cli.database.output import Column, Format, format_option, show, show_json
from collector.cli.database.target import Target, note, with_target

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from collector.storage.store import Migration

_dry_run = click.option("--dry-run", is_flag=True, help="Print the SQL that would run, and run nothing.")


@click.command("init")
@_dry_run
@with_target
def init(target: Target, dry_run: bool) -> None:
    """Create the tables and views. Does nothing where they are; may be run by many at once."""
    _migrate(target, dry_run)


@click.command("migrate")
@_dry_run
@with_target
def migrate(target: Target, dry_run: bool) -> None:
    """Bring the tables up to date. The same as init: an empty database is one that lacks every migration."""
    _migrate(target, dry_run)


def _migrate(target: Target, dry_run: bool) -> None:
    target.open(creating=True)
    if dry_run:
        pending = target.store.migrate(dry_run=True)
        _print_sql(pending)
        note(f"{target.address}: {_plural(len(pending), 'migration')} would run.")
        return
    with _waiting(f"Migrating {target.address}…"):
        applied = target.store.migrate()
    for migration in applied:
        note(f"  ✓ {migration.version:04d} {migration.name}")
    version = target.store.schema_status().current
    done = f"{_plural(len(applied), 'migration')} applied" if applied else "nothing to do"
    note(f"{target.address}: {done}; the schema is version {version} ({target.store.edition}).")


def _print_sql(migrations: Sequence[Migration]) -> None:
    for migration in migrations:
        click.echo(f"-- {migration.version:04d} {migration.name}")
        click.echo(migration.sql.rstrip() + "\n")


def _waiting(message: str) -> AbstractContextManager[Any]:
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True, markup=False).status(message)


def _plural(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


@click.command("status")
@format_option
@with_target
def status(target: Target, output_format: Format) -> None:
    """Show the schema's version, pending migrations, what database it is, how long rows are kept, and each queue's position.

    Exit code 1 if this program cannot write to the database as it is.
    """
    target.open()
    schema = target.store.schema_status()
    facts: dict[str, Any] = {
        "database": target.address,
        "edition": target.store.edition,
        "schema_version": schema.current,
        "expected_version": schema.expected,
        "pending": [f"{migration.version:04d} {migration.name}" for migration in schema.pending],
        "usable": schema.usable,
    }
    arrival = target.store.arrival() if schema.usable else ""
    if arrival:
        facts["rows_are_stored"] = arrival
    positions = _positions(target) if schema.current else []
    kept = _kept(target) if schema.usable else {}
    match output_format:
        case "json":
            show_json({**facts, "retention_s": kept, "positions": positions})
        case _:
            columns = [Column("what", lambda row: row[0]), Column("value", lambda row: row[1])]
            rows = [
                (key, ", ".join(value) if isinstance(value, list) else value) for key, value in facts.items()
            ]
            rows += [(f"{name} are kept", human.age(age_s)) for name, age_s in kept.items()]
            rows += [
                (f"queue {row['queue_id']}", f"{row['position']} at {row['updated_at']}") for row in positions
            ]
            show(rows, columns, output_format, empty="")
    if not schema.usable:
        verb = "migrate" if schema.current else "init"
        note(f"Not usable by this program: run `collector database {verb}`.")
        sys.exit(1)


def _kept(target: Target) -> dict[str, float]:
    """How long rows are kept, in seconds: by the database's own policies, or where it has none as configured."""
    from collector.storage.tables import tables_of

    configured = {
        table.name: age_s for what, age_s in (target.retention_s or {}).items() for table in tables_of(what)
    }
    return dict(sorted((target.store.retention_s() or configured).items()))


def _positions(target: Target) -> list[dict[str, Any]]:
    from uuid import UUID

    from collector.query.dialect import Dialect
    from collector.query.when import iso

    dialect = Dialect(target.store.dialect == "sqlite")
    rows = target.store.query(
        "SELECT queue_id, position, updated_at FROM otlp_positions ORDER BY updated_at DESC"
    ).rows
    return [
        {
            "queue_id": str(UUID(dialect.from_uuid(queue_id))),
            "position": position,
            "updated_at": iso(dialect.from_time(updated_at) * 1000),
        }
        for queue_id, position, updated_at in rows
    ]
