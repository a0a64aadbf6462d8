"""`policy add`, `ls`, `show`, `rm`, `enable`, `disable`, `export`, `import`: the policies in a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.cli.database.output import Column, Format, format_option, show_csv
from collector.cli.database.output import show as show_table
from collector.cli.database.target import Target, note, with_target
from collector.cli.policy.options import open_book, policy_errors, read_files, show_json

if TYPE_CHECKING:
    from collector.accounting.policy_book import StoredPolicy

_FILES = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


@click.command("add")
@_FILES
@click.option("--replace", is_flag=True, help="Take the place of policies with the same ids.")
@with_target
def add(target: Target, files: tuple[Path, ...], replace: bool) -> None:
    """Keep the policies in FILES: all of them, or none and every mistake with its line.

    A file has one policy, a list of them, or an object with a list `policies`.
    """
    documents = read_files(files)
    with policy_errors():
        for stored in open_book(target).add(documents, replace=replace):
            note(f"policy {stored.policy.id} is kept")


@click.command("import")
@_FILES
@with_target
def import_command(target: Target, files: tuple[Path, ...]) -> None:
    """Keep what `export` printed, here or there; policies with the same ids are replaced. All, or none."""
    documents = read_files(files)
    with policy_errors():
        kept = open_book(target).add(documents, replace=True)
    note(f"{len(kept)} policies are kept")


@click.command("export")
@with_target
def export(target: Target) -> None:
    """Print all policies as they were written, as a JSON list."""
    with policy_errors():
        documents = [stored.document for stored in open_book(target).policies()]
    click.echo("[\n" + ",\n".join(documents) + "\n]" if documents else "[]")


@click.command("ls")
@format_option
@with_target
def ls(target: Target, output_format: Format) -> None:
    """List the policies."""
    from collector.accounting.policy_forms import policy_form

    with policy_errors():
        policies = open_book(target).policies()
    if output_format == "json":
        show_json([policy_form(stored) for stored in policies])
    elif output_format == "csv":
        show_csv(
            [column.heading for column in _COLUMNS],
            [[column.value(one) for column in _COLUMNS] for one in policies],
        )
    else:
        show_table(
            policies, _COLUMNS, "table", empty="there are no policies: `collector policy add FILE` keeps some"
        )


@click.command("show")
@click.argument("policy_id", metavar="ID")
@with_target
def show(target: Target, policy_id: str) -> None:
    """Print a policy as it was written."""
    with policy_errors():
        click.echo(_found(policy_id, open_book(target).get(policy_id)).document)


@click.command("rm")
@click.argument("policy_ids", metavar="ID...", nargs=-1, required=True)
@with_target
def rm(target: Target, policy_ids: tuple[str, ...]) -> None:
    """Forget policies. What they have said, their analyses, is kept."""
    with policy_errors():
        book = open_book(target)
        missing = [policy_id for policy_id in policy_ids if not book.remove(policy_id)]
    if missing:
        raise click.ClickException(f"there is no policy {', '.join(missing)}")


@click.command("enable")
@click.argument("policy_ids", metavar="ID...", nargs=-1, required=True)
@with_target
def enable(target: Target, policy_ids: tuple[str, ...]) -> None:
    """Have policies evaluated."""
    _switch(target, policy_ids, enabled=True)


@click.command("disable")
@click.argument("policy_ids", metavar="ID...", nargs=-1, required=True)
@with_target
def disable(target: Target, policy_ids: tuple[str, ...]) -> None:
    """Keep policies, and have them say nothing. That one field of their JSON is changed."""
    _switch(target, policy_ids, enabled=False)


def _switch(target: Target, policy_ids: tuple[str, ...], *, enabled: bool) -> None:
    with policy_errors():
        book = open_book(target)
        for policy_id in policy_ids:
            _found(policy_id, book.enable(policy_id, enabled=enabled))


def _found(policy_id: str, stored: StoredPolicy | None) -> StoredPolicy:
    if stored is None:
        raise click.ClickException(f"there is no policy {policy_id}: `collector policy ls` lists them")
    return stored


def _budget(stored: StoredPolicy) -> str:
    from collector.cost.amount import amount_text

    policy = stored.policy
    return "" if policy.budget is None else f"{amount_text(policy.budget)} {policy.currency}".rstrip()


def _scope(stored: StoredPolicy) -> str:
    return ", ".join(f"{name}={'|'.join(values)}" for name, values in stored.policy.scope.items())


_COLUMNS = [
    Column("id", lambda stored: stored.policy.id),
    Column("name", lambda stored: stored.policy.name),
    Column("enabled", lambda stored: "yes" if stored.policy.enabled else "no"),
    Column("on_violation", lambda stored: stored.policy.on_violation.value),
    Column("budget", _budget, right=True),
    Column(
        "rules", lambda stored: len(stored.policy.conditions), lambda s: str(len(s.policy.conditions) or "")
    ),
    Column("period", lambda stored: stored.policy.period),
    Column("timezone", lambda stored: stored.policy.timezone),
    Column("scope", _scope),
]
