"""The ledger: what has to change in the store when a window is computed again.

A window is *open* while telemetry comes in, *provisional* when its lateness is over, and *closed* when its billing
period is, from when on its rows are never changed (FOCUS 1.4, "Correction Handling"; append-only, ledger style).

* Open or provisional: parts of which one came out different become a new revision all together, which supersedes the
  old one. Revisions count up over a whole charge. What came out equal stays, ids included.
* Closed: differences become rows of class Correction, with the original charge period, in the billing period that is
  open now. Rows and their corrections sum to what is computed now.

Pure: it takes what is stored and what is computed, and returns rows to insert and ids to supersede. Doing that twice is
doing it once: the second time there is no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Final

from collector.cost.amount import subtract, total
from collector.cost.calendar import SECOND_NS, day_of, day_start, next_month
from collector.cost.config import CostConfig
from collector.cost.record import (
    AMOUNTS,
    Amounts,
    Charge,
    ChargeClass,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    Subject,
    SubjectKind,
)
from collector.cost.rows import corrected, part_row, revised

_UNALLOCATED: Final = Subject(kind=SubjectKind.UNALLOCATED)
_ZERO: Final = Decimal(0)


class WindowState(Enum):
    """How final a window is."""

    OPEN = "open"
    PROVISIONAL = "provisional"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Change:
    """What makes the store right: rows to insert, parents before parts, and records that no longer hold."""

    insert: tuple[CostAttributionRecord, ...]
    supersede: tuple[bytes, ...]


def window_state(period: Period, now_unix_nano: int, config: CostConfig) -> WindowState:
    """Return the state of a window at an instant: its month is closed on a day of the next one."""
    month = next_month(day_of(period.start_unix_nano))
    closed_at = day_start(month + timedelta(days=config.close.day_of_month - 1))
    if now_unix_nano >= closed_at:
        return WindowState.CLOSED
    settled_at = period.end_unix_nano + round(config.lateness * SECOND_NS)
    return WindowState.PROVISIONAL if now_unix_nano >= settled_at else WindowState.OPEN


def revise(
    stored: Iterable[CostAttributionRecord],
    computed: Iterable[CostAttributionRecord],
    last_revisions: Mapping[bytes, int] | None = None,
) -> Change:
    """Return how an open or provisional window becomes what was computed.

    Args:
        stored: The records of the window that hold: none that is superseded.
        computed: What the engine gives now.
        last_revisions: The highest revision that the store has of anything of an origin, superseded or not, by origin
            id. Without it a charge that went and came back would get ids that it had before.
    """
    old, new = _Tree(stored), _Tree(computed)
    change = _Changes()
    for origin_id in sorted({*old.origins, *new.origins}):
        before, after = old.origins.get(origin_id), new.origins.get(origin_id)
        if after is None:
            if before is not None:
                change.remove(old, before)
            continue
        next_revision = 1 + max(old.revisions.get(origin_id, -1), (last_revisions or {}).get(origin_id, -1))
        row = before
        if before is None or not _same(before, after):
            row = revised(after, next_revision, b"")
            change.put(row, before)
        if row is not None:
            _revise_parts(old, new, before, after, row, next_revision, change)
    return change.done()


def correct(
    stored: Iterable[CostAttributionRecord],
    computed: Iterable[CostAttributionRecord],
    *,
    billing_period: Period,
    recorded_unix_nano: int,
) -> Change:
    """Return the corrections that make a closed window sum to what was computed.

    Args:
        stored: All records of the window that hold, earlier corrections among them.
        computed: What the engine gives now.
        billing_period: The one that is open, in which the corrections are billed.
        recorded_unix_nano: When they are made.
    """
    return _Correction(stored, billing_period, recorded_unix_nano).made(_Tree(computed))


class _Tree:
    """Records by origin, and parts by parent."""

    def __init__(self, records: Iterable[CostAttributionRecord]) -> None:
        self.origins: dict[bytes, CostAttributionRecord] = {}
        self.parts: dict[bytes, list[CostAttributionRecord]] = {}
        self.revisions: dict[bytes, int] = {}  # the highest of each origin
        for record in records:
            known = self.revisions.get(record.origin_id, -1)
            self.revisions[record.origin_id] = max(known, record.revision)
            if record.level is Level.ORIGIN:
                self.origins[record.origin_id] = record
            else:
                self.parts.setdefault(record.parent_record_id, []).append(record)


class _Changes:
    """Collects what changes."""

    def __init__(self) -> None:
        self.inserted: list[CostAttributionRecord] = []
        self.superseded: list[bytes] = []

    def put(self, row: CostAttributionRecord, before: CostAttributionRecord | None) -> None:
        """Insert a row in the place of another."""
        self.inserted.append(row)
        if before is not None:
            self.superseded.append(before.record_id)

    def remove(self, tree: _Tree, record: CostAttributionRecord) -> None:
        """Supersede a record and all its parts."""
        self.superseded.append(record.record_id)
        for part in tree.parts.get(record.record_id, ()):
            self.remove(tree, part)

    def done(self) -> Change:
        """Return it, in a stable order."""
        ordered = sorted(self.inserted, key=lambda record: (record.level, record.record_id))
        return Change(tuple(ordered), tuple(sorted(self.superseded)))


def _revise_parts(
    old: _Tree,
    new: _Tree,
    before: CostAttributionRecord | None,
    after: CostAttributionRecord,
    row: CostAttributionRecord,
    revision: int,
    change: _Changes,
) -> None:
    """Bring the parts of a record up to date: all stay, or all are a new revision."""
    was = (
        {_part_key(part): part for part in old.parts.get(before.record_id, ())} if before is not None else {}
    )
    now = {_part_key(part): part for part in new.parts.get(after.record_id, ())}
    kept = before is not None and row.record_id == before.record_id
    if kept and was.keys() == now.keys() and all(_same(was[key], now[key]) for key in now):
        for key in sorted(now):
            _revise_parts(old, new, was[key], now[key], was[key], revision, change)
        return
    for key in sorted({*was, *now}):
        if key not in now:
            change.remove(old, was[key])
            continue
        part = revised(now[key], revision, row.record_id)
        change.put(part, was.get(key))
        _revise_parts(old, new, was.get(key), now[key], part, revision, change)


class _Correction:
    """Finds differences to a closed window, level by level."""

    def __init__(
        self, stored: Iterable[CostAttributionRecord], billing_period: Period, recorded_unix_nano: int
    ) -> None:
        self._billing_period = billing_period
        self._recorded = recorded_unix_nano
        self._change = _Changes()
        self._anchors: dict[
            bytes, list[CostAttributionRecord]
        ] = {}  # of origins, by origin; of parts, by parent
        self._corrections: dict[bytes, list[CostAttributionRecord]] = {}
        for record in stored:
            if record.corrects_record_id:
                self._corrections.setdefault(record.corrects_record_id, []).append(record)
            else:
                home = record.origin_id if record.level is Level.ORIGIN else record.parent_record_id
                self._anchors.setdefault(home, []).append(record)
        self._origins = [key for key, rows in self._anchors.items() if rows[0].level is Level.ORIGIN]

    def made(self, new: _Tree) -> Change:
        """Return the corrections."""
        for origin_id in sorted({*self._origins, *new.origins}):
            before = next(iter(self._anchors.get(origin_id, ())), None)
            self._correct(before, new.origins.get(origin_id), new, b"")
        return self._change.done()

    def _correct(
        self,
        before: CostAttributionRecord | None,
        after: CostAttributionRecord | None,
        new: _Tree,
        parent_id: bytes,
    ) -> None:
        """Correct one record, `before` the first of its kind that is stored, and its parts."""
        model = before or after
        if model is None:
            return
        target = after.amounts if after is not None else None
        difference = _difference(target, self._current(before))
        anchor = before.record_id if before is not None else b""
        if difference is not None:
            row = self._row(after or model, model, difference, anchor, parent_id)
            self._change.put(row, None)
            anchor = anchor or row.record_id
        if not anchor:
            return
        was = {_part_key(part): part for part in self._anchors.get(anchor, ())}
        now = (
            {_part_key(part): part for part in new.parts.get(after.record_id, ())}
            if after is not None
            else {}
        )
        if was and not now and after is not None:
            # The telemetry that said who is gone, by retention perhaps; what they were given stays.
            self._leave(model, list(was.values()), target, anchor)
            return
        for key in sorted({*was, *now}):
            self._correct(was.get(key), now.get(key), new, anchor)

    def _leave(
        self,
        parent: CostAttributionRecord,
        parts: Sequence[CostAttributionRecord],
        target: Amounts | None,
        anchor: bytes,
    ) -> None:
        """Put the difference between a record and its parts, which are not computed any more, on nobody."""
        difference = _difference(target, _sum([self._current(part) for part in parts]))
        if difference is None:
            return
        rule = min(parts, key=lambda part: part.record_id)
        row = part_row(
            parent,
            subject=_UNALLOCATED,
            amounts=difference,
            rule_id=rule.rule_id,
            rule_version=rule.rule_version,
            method_id="unallocated",
        )
        nobody = next((part for part in parts if _part_key(part) == _part_key(row)), None)
        corrects = nobody.record_id if nobody is not None else b""
        self._change.put(self._row(row, nobody or row, difference, corrects, anchor), None)

    def _row(
        self,
        like: CostAttributionRecord,
        model: CostAttributionRecord,
        difference: Amounts,
        anchor: bytes,
        parent_id: bytes,
    ) -> CostAttributionRecord:
        charge: Charge = replace(
            model.charge, charge_class=ChargeClass.CORRECTION, billing_period=self._billing_period
        )
        source = like.source
        if (source is CostSource.UNPRICED) == difference.is_priced:
            source = model.source if difference.is_priced else CostSource.UNPRICED
        return corrected(
            replace(like, source=source, recorded_unix_nano=self._recorded, amounts=difference),
            amounts=difference,
            charge=charge,
            corrects=anchor,
            parent=parent_id,
            number=len(self._corrections.get(anchor, ())) + 1 if anchor else 0,
        )

    def _current(self, record: CostAttributionRecord | None) -> Amounts:
        """Return what a record amounts to with all its corrections."""
        if record is None:
            return Amounts()
        return _sum(
            [record.amounts, *(other.amounts for other in self._corrections.get(record.record_id, ()))]
        )


def _part_key(record: CostAttributionRecord) -> tuple[bytes, str]:
    return record.subject.key, record.rule_id


def _same(before: CostAttributionRecord, after: CostAttributionRecord) -> bool:
    """Whether two records say the same, whatever their ids and when they were made."""
    return (
        before.amounts == after.amounts
        and before.source is after.source
        and before.charge == after.charge
        and before.subject == after.subject
        and before.allocated_method_id == after.allocated_method_id
        and before.allocated_elements == after.allocated_elements
        and (before.rule_id, before.rule_version) == (after.rule_id, after.rule_version)
    )


def _sum(amounts: Sequence[Amounts]) -> Amounts:
    """Return the sum, column by column; a column that nobody has is None."""
    columns: dict[str, Decimal | None] = {}
    for name in AMOUNTS:
        values = [value for item in amounts if (value := getattr(item, name)) is not None]
        columns[name] = total(values) if values else None
    return Amounts(**columns)


def _difference(target: Amounts | None, current: Amounts) -> Amounts | None:
    """Return what is missing to `target` (None: nothing is left), None if nothing is."""
    columns: dict[str, Decimal | None] = {}
    for name in AMOUNTS:
        wanted: Decimal | None = getattr(target, name) if target is not None else None
        there: Decimal | None = getattr(current, name)
        columns[name] = (
            None if wanted is None and there is None else subtract(wanted or _ZERO, there or _ZERO)
        )
    if not any(columns.values()) and not (target is not None and target.is_priced and not current.is_priced):
        return None
    return Amounts(**columns)
