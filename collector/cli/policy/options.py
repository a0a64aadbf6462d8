"""What the commands about policies have in common: the book of an open database, files of policies, and errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collector.accounting.policy_book import PolicyBook
    from collector.cli.database.target import Target

_FILE_BYTES_MAX = 64 * 2**20


def open_book(target: Target) -> PolicyBook:
    """Open the database, and its policies."""
    from collector.accounting.policy_book import KEPT_S, PolicyBook
    from collector.model.clock import SystemClock

    target.open()
    keep_s = KEPT_S if target.analyses_s is None else target.analyses_s
    return PolicyBook(target.store, SystemClock(), keep_s=keep_s)


@contextmanager
def policy_errors() -> Iterator[None]:
    """Turn what is wrong with policies into a message and exit code 1."""
    from collector.accounting.errors import AccountingError
    from collector.cost.policy.policy import PolicyError

    try:
        yield
    except (AccountingError, PolicyError) as error:
        raise click.ClickException(str(error)) from error


def read_files(files: Sequence[Path]) -> list[str]:
    """Return the policies' JSON in some files; every mistake in one run, with file, line and column."""
    from collector.accounting.policy_book import check_document
    from collector.cost.policy.document import documents, placed
    from collector.cost.policy.policy import PolicyError

    found: list[str] = []
    mistakes: list[str] = []
    for file in files:
        try:
            if file.stat().st_size > _FILE_BYTES_MAX:
                raise click.ClickException(f"{file} is larger than {_FILE_BYTES_MAX} bytes")
            text = file.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise click.ClickException(f"{file}: {error}") from error
        try:
            within = documents(text)
        except PolicyError as error:
            mistakes.append(f"{file}:{placed(error, text)}")
            continue
        for place, document in within:
            try:
                check_document(document)
            except PolicyError as error:
                mistakes.append(f"{file}:{placed(error.within(place) if place else error, text)}")
            else:
                found.append(document)
    if mistakes:
        raise click.ClickException("\n".join(mistakes))
    return found


def show_json(value: Any) -> None:
    """Print JSON with exact numbers."""
    import msgspec

    from collector.cost.policy.document import json_text

    click.echo(msgspec.json.format(json_text(value).encode(), indent=2))
