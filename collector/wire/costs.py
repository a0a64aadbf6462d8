"""The rules for cost records: what a record has to be is `cost.record`'s business; here it is asked, one by one.

No native twin: costs are few, and deciding about one takes more than reading it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from collector.cost.protobuf import from_proto
from collector.cost.record import RecordError
from collector.wire.rules import Normalisation, Rejection

# Bills are imported years later, and commitments charged years ahead. Beyond, somebody's clock or unit is wrong, and
# would make the store keep a partition for every day it dreams of.
PAST_NS: Final = 10 * 366 * 86_400 * 10**9
FUTURE_NS: Final = 5 * 366 * 86_400 * 10**9
# Stores keep a time in 63 bits: up to the year 2262.
_TIME_MAX: Final = 2**63 - 1

# What the sender is told word for word; of the others, how many.
_REASONS_TOLD: Final = 5
_REASON_LENGTH_MAX: Final = 300


class CostRules:
    """Judges and mends the records of one request. `reasons`: of the first that were refused, in words."""

    def __init__(self, now_unix_nano: int) -> None:
        self._window = (max(1, now_unix_nano - PAST_NS), min(_TIME_MAX, now_unix_nano + FUTURE_NS))
        self._index = -1
        self.normalised: Counter[str] = Counter()
        self.reasons: list[str] = []

    def check(self, record: Any) -> Rejection | None:
        """Mend `record`, and say why it is refused, or None."""
        self._index += 1
        self.normalised[Normalisation.NUL_CHARACTER] += _without_nul(record)
        try:
            period = from_proto(record).charge.charge_period
        except RecordError as error:
            self._refuse(str(error))
            return Rejection.INVALID_RECORD
        earliest, latest = self._window
        if not earliest <= period.start_unix_nano <= latest or period.end_unix_nano > _TIME_MAX:
            self._refuse(f"charge_period_start_unix_nano: {period.start_unix_nano} is too far from now")
            return Rejection.TIME_OUT_OF_WINDOW
        return None

    def _refuse(self, reason: str) -> None:
        if len(self.reasons) < _REASONS_TOLD:
            self.reasons.append(f"records[{self._index}].{reason}"[:_REASON_LENGTH_MAX])


def _without_nul(message: Any) -> int:
    """Replace the NUL characters in all texts of `message`, which no SQL text can hold; return how many texts had one."""
    changed = 0
    for field, value in message.ListFields():
        if field.message_type is None:
            if field.type == field.TYPE_STRING and "\0" in value:
                setattr(message, field.name, value.replace("\0", "\N{REPLACEMENT CHARACTER}"))
                changed += 1
        elif field.message_type.GetOptions().map_entry:
            for key, text in list(value.items()):
                if "\0" in key or "\0" in text:
                    del value[key]
                    value[key.replace("\0", "\N{REPLACEMENT CHARACTER}")] = text.replace(
                        "\0", "\N{REPLACEMENT CHARACTER}"
                    )
                    changed += 1
        else:
            changed += sum(map(_without_nul, value if field.is_repeated else [value]))
    return changed
