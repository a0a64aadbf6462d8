"""`policy evaluate` and `policy analyses`: what policies say about stored costs, and what they have said."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.cli.database.output import Column, Format, format_option, show_csv
from collector.cli.database.output import show as show_table
from collector.cli.database.target import Target, arguments, note, with_target
from collector.cli.policy.options import open_book, policy_errors, read_files, show_json

if TYPE_CHECKING:
    from collector.accounting.policies import Outcome
    from collector.accounting.policy_book import Analysis, PolicyBook, StoredPolicy
    from collector.cost.policy.policy import Value

BLOCKED = 3  # the exit code


@click.command("evaluate")
@click.argument("policy_ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Evaluate the policies of a file instead, and keep nothing.",
)
@click.option(
    "--at", "when", metavar="TIME", default="now", show_default=True, help="Costs up to then, in its period."
)
@click.option(
    "--mode",
    type=click.Choice(["advisory", "blocking"]),
    help="What a violation shall be. Left out: as the policy says.",
)
@click.option(
    "--context",
    multiple=True,
    metavar="NAME=VALUE",
    help="What expressions may ask for: environment=dev. Repeatable.",
)
@click.option(
    "--fail-on", type=click.Choice(["block", "advisory", "never"]), default="block", show_default=True
)
@click.option("--dry-run", is_flag=True, help="Keep no analyses.")
@format_option
@with_target
def evaluate(
    target: Target,
    policy_ids: tuple[str, ...],
    files: tuple[Path, ...],
    when: str,
    mode: str | None,
    context: tuple[str, ...],
    fail_on: str,
    dry_run: bool,
    output_format: Format,
) -> None:
    """Evaluate policies on the costs that are stored: those named, or all that are enabled.

    Exit code 0 if none blocks, 3 if one does (--fail-on says what counts), 1 if one could not be evaluated.
    """
    from collector.accounting.policies import PolicyEvaluator
    from collector.model.clock import SystemClock
    from collector.query.when import unix_nano

    clock = SystemClock()
    with arguments():
        at = unix_nano(when, clock)
    if files and policy_ids:
        raise click.UsageError("give either --file or ids, not both")
    given = _context(context)
    read = read_files(files)
    with policy_errors():
        book = open_book(target)
        policies = _unkept(read) if files else _chosen(book, policy_ids)
        outcome = PolicyEvaluator(target.store, clock).evaluate(policies, at, context=given, mode=mode or "")
        if not dry_run and not files:
            book.record(outcome.analyses)
    _show_outcome(outcome, policy_ids, output_format)
    if outcome.failures:
        raise click.ClickException(
            "\n".join(f"policy {one.policy_id}: {one.reason}" for one in outcome.failures)
        )
    counts = {"block": 2, "advisory": 1, "never": 3}[fail_on]
    if outcome.status.rank >= counts:
        sys.exit(BLOCKED)


@click.command("analyses")
@click.option("--policy", "policy_id", metavar="ID", help="Only of this policy.")
@click.option("--status", type=click.Choice(["pass", "advisory", "block"]), help="Only with this verdict.")
@click.option("--from", "since", metavar="TIME", help="Start: 2026-09-01, or -30d, counted from now.")
@click.option("--to", "until", metavar="TIME", help="End, not included.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option(
    "--delete-older-than",
    "age",
    metavar="AGE",
    help="Delete those that are older, such as 90d, and show none.",
)
@format_option
@with_target
def analyses(
    target: Target,
    policy_id: str | None,
    status: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    age: str | None,
    output_format: Format,
) -> None:
    """Show what policies have said, the newest first."""
    from collector.accounting.policy_forms import analysis_form
    from collector.cost.policy.policy import Status
    from collector.model.clock import SystemClock
    from collector.query.when import Window, nanoseconds

    clock = SystemClock()
    with arguments():
        window = Window.of(since, until, clock)
        length = None if age is None else nanoseconds(age)
    with policy_errors():
        book = open_book(target)
        if length is not None:
            note(f"{book.delete_analyses(clock.unix_nano() - length)} analyses deleted")
            return
        found = book.analyses(
            policy_id=policy_id,
            status=None if status is None else Status(status),
            start_unix_nano=window.start_unix_nano,
            before_unix_nano=window.end_unix_nano,
            limit=limit,
        )
    if output_format == "json":
        show_json([analysis_form(one) for one in found])
    else:
        _show_analyses(found, output_format, empty="no policy has said anything in that time")


def _chosen(book: PolicyBook, policy_ids: Sequence[str]) -> list[StoredPolicy]:
    if not policy_ids:
        return book.policies(enabled_only=True)
    found = [(policy_id, book.get(policy_id)) for policy_id in dict.fromkeys(policy_ids)]
    missing = [policy_id for policy_id, stored in found if stored is None]
    if missing:
        raise click.ClickException(
            f"there is no policy {', '.join(missing)}: `collector policy ls` lists them"
        )
    return [stored for _, stored in found if stored is not None]


def _unkept(documents: Sequence[str]) -> list[StoredPolicy]:
    from collector.accounting.policy_book import StoredPolicy
    from collector.cost.policy.read import parse_policy

    return [
        StoredPolicy(
            policy=parse_policy(document), document=document, created_unix_nano=0, updated_unix_nano=0
        )
        for document in documents
    ]


def _context(given: Sequence[str]) -> dict[str, Value]:
    from decimal import Decimal, InvalidOperation

    context: dict[str, Value] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise click.UsageError(f"--context {one}: write it like environment=dev")
        try:
            number = Decimal(value)
            context[name] = number if number.is_finite() else value
        except InvalidOperation:
            context[name] = value
    return context


def _show_outcome(outcome: Outcome, policy_ids: Sequence[str], output_format: Format) -> None:
    from collector.accounting.policy_forms import verdict_form

    if output_format == "json":
        show_json(verdict_form(outcome, policy_ids[0] if len(policy_ids) == 1 else None))
        return
    _show_analyses(outcome.analyses, output_format, empty="there are no policies to evaluate")
    if output_format == "table" and outcome.analyses:
        note(f"verdict: {outcome.status.value}")


def _show_analyses(found: Sequence[Analysis], output_format: Format, *, empty: str) -> None:
    if output_format == "csv":
        show_csv(
            [column.heading for column in _COLUMNS],
            [[column.value(one) for column in _COLUMNS] for one in found],
        )
    else:
        show_table(found, _COLUMNS, "table", empty=empty)


def _amount(amount: Any) -> str:
    from collector.cost.amount import amount_text

    return "" if amount is None else amount_text(amount)


def _time(unix_nano: int) -> str:
    from collector.query.when import iso

    return iso(unix_nano // 10**9 * 10**9)


def _style(analysis: Analysis) -> str:
    return {"block": "bold red", "advisory": "yellow"}.get(analysis.status.value, "green")


_COLUMNS = [
    Column("time", lambda one: _time(one.time_unix_nano)),
    Column("policy", lambda one: one.policy_id),
    Column("verdict", lambda one: one.status.value, style=_style),
    Column("severity", lambda one: one.severity.value if one.severity else ""),
    Column("cost", lambda one: _amount(one.cost), right=True),
    Column("budget", lambda one: _amount(one.budget), right=True),
    Column("forecast", lambda one: _amount(one.forecast), right=True),
    Column("currency", lambda one: one.billing_currency),
    Column("from", lambda one: _time(one.period.start_unix_nano)),
    Column("to", lambda one: _time(one.period.end_unix_nano)),
    Column("reasons", lambda one: "; ".join(one.reasons)),
]
