"""What has to be written so that the ledger says of a window what was computed now. Pure; twice is once.

The store keeps of an origin in a window the highest revision only, of a level and of all finer ones
(`storage.ledger`), and parts must sum to the record they name as parent. Hence:

* Open or provisional: an origin that came out different is written again from the coarsest level that differs, one
  revision higher. What came out equal stays, ids included. What is not computed any more becomes an origin of zeros.
* Closed: nothing that is there changes. The differences to it, and to corrections of billing periods that are over, are
  a tree of their own: an origin of class Correction, in the billing period that is open, with its parts under it
  (FOCUS 1.4, "Correction Handling"; append-only, ledger style). Until that period is closed, the tree is revised.
  What was not divided when it closed may still be, since that changes no sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from collector.cost.amount import subtract, total
from collector.cost.record import (
    AMOUNTS,
    Amounts,
    ChargeClass,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    Subject,
    SubjectKind,
)
from collector.cost.rows import revised

# Who a record is of, from its origin on: () is the origin, then (subject, rule) for each level.
Path = tuple[tuple[bytes, str], ...]
Tree = Mapping[Path, CostAttributionRecord]

_ZERO: Final = Decimal(0)
_NOBODY: Final = Subject(kind=SubjectKind.UNALLOCATED)
UNALLOCATED: Final = "unallocated"


def revise(
    stored: Iterable[CostAttributionRecord], computed: Iterable[CostAttributionRecord], *, ledger: bytes = b""
) -> list[CostAttributionRecord]:
    """Return what makes an open or provisional window be as computed, origins first.

    Args:
        stored: Its records, as far as attribution made them, and the charges of a bill that are divided.
        computed: What the engine gives now.
        ledger: Whose they are (`cost.rows`).
    """
    old, new = _by_origin(stored), _by_origin(computed)
    written = [
        record
        for origin_id in sorted({*old, *new})
        for record in _revised(_tree(old.get(origin_id, ())), _tree(new.get(origin_id, ())), ledger)
    ]
    return _ordered(written)


def correct(
    stored: Iterable[CostAttributionRecord],
    computed: Iterable[CostAttributionRecord],
    *,
    billing_period: Period,
    recorded_unix_nano: int,
    ledger: bytes = b"",
) -> list[CostAttributionRecord]:
    """Return the corrections that make a closed window sum to what was computed, origins first.

    Args:
        stored: As for `revise`, with the corrections that there are.
        computed: What the engine gives now.
        billing_period: The one that is open.
        recorded_unix_nano: When this is.
        ledger: Whose they are (`cost.rows`).
    """
    old, new = _by_origin(stored), _by_origin(computed)
    written: list[CostAttributionRecord] = []
    for origin_id in sorted({*old, *new}):
        rows = old.get(origin_id, [])
        base = _tree([row for row in rows if not row.corrects_record_id])
        target = _tree(new.get(origin_id, ()))
        correction = _Correction(base, billing_period, recorded_unix_nano)
        if not base or _is_correction_of(base[()], billing_period):
            # It came about after the window had closed, in the period that is open still.
            late = {path: _billed(target[path], billing_period, recorded_unix_nano) for path in target}
            written += _revised(base, late, ledger)
            continue
        if len(rows) == 1 and len(target) > 1 and base[()].amounts == target[()].amounts:
            written += _divided(base[()], target, ledger)
            continue
        before: list[CostAttributionRecord] = []
        open_now: list[CostAttributionRecord] = []
        for row in rows:
            if row.corrects_record_id:
                (open_now if row.charge.billing_period == billing_period else before).append(row)
        # A revision is in the ids, and the billing period is not.
        lowest = 1 + max((row.revision for row in before), default=-1)
        written += _revised(_tree(open_now), correction.tree(_trees(before), target), ledger, lowest)
    return _ordered(written)


# --- one origin -------------------------------------------------------------------------------------------------


def _revised(old: Tree, new: Tree, ledger: bytes, lowest: int = 0) -> Iterator[CostAttributionRecord]:
    """Yield a new revision, at least `lowest`, of what differs, from the coarsest level that does."""
    differing = [
        len(path)
        for path in {*old, *new}
        if path not in old or path not in new or not _says_the_same(old[path], new[path])
    ]
    if not differing:
        return
    revision = max(lowest, 1 + max((record.revision for record in old.values()), default=-1))
    if not new:
        if len(old) > 1 or any(_amounts(old[()].amounts).values()):
            yield revised(replace(old[()], amounts=_zeros(old[()].amounts)), revision, b"", ledger)
        return
    level = min(differing)
    while not any(len(path) == level for path in new):
        level -= 1  # nothing of that level is left: what it was part of is written again without
    ids: dict[Path, bytes] = {path: record.record_id for path, record in old.items() if len(path) < level}
    for path in sorted(new, key=lambda path: (len(path), path)):
        if len(path) >= level:
            row = revised(new[path], revision, ids[path[:-1]] if path else b"", ledger)
            ids[path] = row.record_id
            yield row


def _divided(whole: CostAttributionRecord, target: Tree, ledger: bytes) -> Iterator[CostAttributionRecord]:
    """Yield the parts of a closed record that had none."""
    ids: dict[Path, bytes] = {(): whole.record_id}
    for path in sorted(target, key=lambda path: (len(path), path)):
        if path:
            part = replace(target[path], charge=whole.charge)
            row = revised(part, whole.revision, ids[path[:-1]], ledger)
            ids[path] = row.record_id
            yield row


@dataclass(frozen=True, slots=True)
class _Correction:
    """Corrections to one origin of a closed window."""

    base: Tree
    billing_period: Period
    recorded_unix_nano: int

    def tree(self, corrections: Sequence[Tree], target: Tree) -> dict[Path, CostAttributionRecord]:
        """Return the differences between what holds, `base` with earlier corrections, and `target`."""
        wanted = dict(target)
        known = [self.base, *corrections]
        paths = {path for tree in known for path in tree}
        divided = _parents(paths)
        leaves = {path for path in paths if path and path not in divided}
        for path in list(wanted):
            if path[:-1] in leaves:
                del wanted[path]  # stays undivided
        still = _parents(wanted)
        for path in sorted(divided & wanted.keys() - still - {()}, key=len):
            self._leave(path, known, wanted)
        found: dict[Path, CostAttributionRecord] = {}
        needed: set[Path] = set()  # as parents
        for path in sorted({*paths, *wanted}, key=lambda path: (-len(path), path)):
            current = _sum([tree[path].amounts for tree in known if path in tree])
            goal = wanted[path].amounts if path in wanted else Amounts()
            difference = _difference(goal, current)
            if any(_amounts(difference).values()) or path in needed:
                found[path] = self._row(path, known, wanted, difference)
                needed.add(path[:-1])
        return found

    def _leave(self, path: Path, known: Sequence[Tree], wanted: dict[Path, CostAttributionRecord]) -> None:
        """The telemetry that said among whom `path` is divided is gone: they keep what they have, the rest is nobody's."""
        below = {
            key: tree[key]
            for tree in known
            for key in tree
            if key[: len(path)] == path and len(key) > len(path)
        }
        held: list[Amounts] = []
        for key, record in below.items():
            amounts = _sum([tree[key].amounts for tree in known if key in tree])
            wanted[key] = replace(
                record,
                amounts=amounts,
                source=_source(amounts, *[tree[key] for tree in known if key in tree]),
            )
            if len(key) == len(path) + 1:
                held.append(amounts)
        rest = _difference(wanted[path].amounts, _sum(held))
        if not any(_amounts(rest).values()):
            return
        like = min(below.values(), key=lambda record: record.record_id)
        key = (*path, (_NOBODY.key, like.rule_id))
        amounts = _sum([rest, *([wanted[key].amounts] if key in wanted else [])])
        wanted[key] = replace(
            like,
            subject=_NOBODY,
            amounts=amounts,
            allocated_method_id=UNALLOCATED,
            allocated_elements=(),
            source=_source(amounts, like, wanted[path], *below.values()),
        )

    def _row(
        self,
        path: Path,
        known: Sequence[Tree],
        wanted: Mapping[Path, CostAttributionRecord],
        difference: Amounts,
    ) -> CostAttributionRecord:
        first = next((tree[path] for tree in known if path in tree), None)
        like = wanted.get(path, first)
        if like is None:
            raise ValueError("a difference is of something")
        corrects = (first or self.base[()]).record_id
        source = _source(difference, like, *[tree[path] for tree in known if path in tree])
        billed = _billed(self.base[()], self.billing_period, self.recorded_unix_nano)
        return replace(
            like,
            source=source,
            amounts=difference,
            charge=billed.charge,
            corrects_record_id=corrects,
            recorded_unix_nano=self.recorded_unix_nano,
        )


def _billed(
    record: CostAttributionRecord, billing_period: Period, recorded_unix_nano: int
) -> CostAttributionRecord:
    """Return a record of a closed window as one of the period in which it came about."""
    charge = replace(record.charge, charge_class=ChargeClass.CORRECTION, billing_period=billing_period)
    return replace(record, charge=charge, recorded_unix_nano=recorded_unix_nano)


def _is_correction_of(record: CostAttributionRecord, billing_period: Period) -> bool:
    charge = record.charge
    return charge.charge_class is ChargeClass.CORRECTION and charge.billing_period == billing_period


def _source(amounts: Amounts, *records: CostAttributionRecord) -> CostSource:
    """Return where amounts are from: as the first of `records` that has a price."""
    if not amounts.is_priced:
        return CostSource.UNPRICED
    sources = (record.source for record in records if record.source is not CostSource.UNPRICED)
    return next(sources, CostSource.PRICE_BOOK)


# --- records and trees ------------------------------------------------------------------------------------------


def _by_origin(records: Iterable[CostAttributionRecord]) -> dict[bytes, list[CostAttributionRecord]]:
    found: dict[bytes, list[CostAttributionRecord]] = {}
    for record in records:
        found.setdefault(record.origin_id, []).append(record)
    return found


def _tree(records: Iterable[CostAttributionRecord]) -> dict[Path, CostAttributionRecord]:
    """Return records of one origin by path."""
    found: dict[Path, CostAttributionRecord] = {}
    paths: dict[bytes, Path] = {}
    for record in sorted(records, key=lambda record: record.level):
        path: Path = ()
        if record.level is not Level.ORIGIN:
            if record.parent_record_id not in paths:
                continue  # its parent does not hold any more, so neither does it
            path = (*paths[record.parent_record_id], (record.subject.key, record.rule_id))
        paths[record.record_id] = path
        found[path] = record
    return found


def _trees(records: Sequence[CostAttributionRecord]) -> list[dict[Path, CostAttributionRecord]]:
    """Return corrections as trees, one for each billing period."""
    periods: dict[Period, list[CostAttributionRecord]] = {}
    for record in records:
        periods.setdefault(record.charge.billing_period, []).append(record)
    return [_tree(periods[period]) for period in sorted(periods)]


def _parents(paths: Iterable[Path]) -> set[Path]:
    return {path[:-1] for path in paths if path}


def _ordered(records: Iterable[CostAttributionRecord]) -> list[CostAttributionRecord]:
    return sorted(records, key=lambda record: (record.level, record.record_id))


def _says_the_same(one: CostAttributionRecord, other: CostAttributionRecord) -> bool:
    """Whether two records say the same, whatever their ids and when they were made."""
    return (
        one.amounts == other.amounts
        and one.source is other.source
        and one.charge == other.charge
        and one.allocated_method_id == other.allocated_method_id
        and one.allocated_elements == other.allocated_elements
        and one.rule_version == other.rule_version
    )


def _amounts(amounts: Amounts) -> dict[str, Decimal | None]:
    return {name: getattr(amounts, name) for name in AMOUNTS}


def _zeros(amounts: Amounts) -> Amounts:
    return Amounts(**{name: None if value is None else _ZERO for name, value in _amounts(amounts).items()})


def _sum(amounts: Sequence[Amounts]) -> Amounts:
    """Return the sum, column by column; a column that nobody has is None."""
    columns: dict[str, Decimal | None] = {}
    for name in AMOUNTS:
        values = [value for item in amounts if (value := getattr(item, name)) is not None]
        columns[name] = total(values) if values else None
    return Amounts(**columns)


def _difference(wanted: Amounts, there: Amounts) -> Amounts:
    """Return what is missing, column by column; None where neither has anything."""
    columns: dict[str, Decimal | None] = {}
    for name in AMOUNTS:
        one, other = getattr(wanted, name), getattr(there, name)
        columns[name] = None if one is None and other is None else subtract(one or _ZERO, other or _ZERO)
    return Amounts(**columns)
