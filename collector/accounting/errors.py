"""What keeps a run from being done; the message says what to change."""

from __future__ import annotations


class AccountingError(Exception):
    """Something is as it must not be, and nothing was written."""


class TooManyGroupsError(AccountingError):
    """A rule groups by something of which there are too many."""

    def __init__(self, rule_id: str, groups_max: int) -> None:
        super().__init__(
            f"rule {rule_id!r} makes more than {groups_max} groups in one window: leave what has so many values, such "
            "as a URL or a user, out of group_by and attribute_to"
        )


class ConcurrentWriterError(AccountingError):
    """Others write to the ledger all the time."""
