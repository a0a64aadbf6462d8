"""How cost records enter the ledger: each once, and of a charge only its highest revision. In SQL, for every dialect.

The rows of a batch lie in tables of their own, `arriving`, one for each level. What is stored then follows from the
two sets, and not from who wrote which when, so that repeating it changes nothing:

* A revision is of an origin in a window: of the records with one `origin_id`, charge period, charge class and billing
  period. A record of a higher revision replaces those of lower ones, of its own level and of finer levels; one that
  comes late, with a lower revision than is there, is not stored. So whoever computes a window again numbers it one
  higher than anything of that window, and writes its levels from there on; levels that stay need not be repeated.
* A record that is there (same `record_id` and charge period start) is not stored again, whoever sends it.
* `refined` says whether the parts of a record are in the next table. Views of costs take what is not refined, from all
  three levels: everything once.

Replaced rows are deleted, not marked: every sum over the tables is then right as it stands, roll-ups included, and no
query has to look for what holds. That touches rows of windows that are still open, which are not compressed yet.

The caller sees to it that two writers take turns: what one replaces, the other must not add meanwhile.
"""

# ruff: noqa: S608  names are constants, values are bound or literals of ours

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collector.storage.rows import Row
from collector.storage.tables import COST_FACTS, COST_ORIGINS, Table

_REVISION: Final = COST_ORIGINS.index("revision")
_LEVELS: Final = range(len(COST_FACTS))
_COLUMNS: Final = ", ".join(name for name in COST_ORIGINS.column_names if name != "refined")
_ONE_WINDOW: Final = ("origin_id", "time", "charge_class", "billing_period_start_unix_nano")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How a dialect calls the tables. `within(alias)`: the times of the batch, as a condition that leaves out chunks."""

    stored: Callable[[Table], str]
    arriving: Callable[[Table], str]
    within: Callable[[str], str] = lambda alias: "true"


def statements(facts: Mapping[Table, Sequence[Row]], names: Names) -> Iterator[str]:
    """The statements that store what lies in `arriving`, in order. `facts`: the same rows."""
    levels = [level for level in _LEVELS if COST_FACTS[level] in facts]
    revised = [level for level in levels if any(row[_REVISION] for row in facts[COST_FACTS[level]])]
    stored = [names.stored(table) for table in COST_FACTS]
    arriving = [names.arriving(table) for table in COST_FACTS]
    for level in levels:
        coarser = [arriving[other] for other in revised if other <= level]
        coarser += [stored[other] for other in _LEVELS if other <= level]
        for source in coarser:
            within = names.within("s") if source in stored else "true"
            yield (
                f"DELETE FROM {arriving[level]} AS a WHERE EXISTS (SELECT 1 FROM {source} AS s "
                f"WHERE {_same('s', 'a')} AND s.revision > a.revision AND {within})"
            )
    for level in revised:
        for finer in _LEVELS[level:]:
            yield (
                f"DELETE FROM {stored[finer]} AS d WHERE {names.within('d')} AND (d.record_id, d.time) IN ("
                f"SELECT s.record_id, s.time FROM {arriving[level]} AS a JOIN {stored[finer]} AS s "
                f"ON {_same('s', 'a')} WHERE s.revision < a.revision AND {names.within('s')})"
            )
    # The finest first, so that what is refined is known when it is stored, as a rule.
    for level in reversed(levels):
        refined = _has_parts(stored, level, "a", names)
        yield (
            f"INSERT INTO {stored[level]} ({_COLUMNS}, refined) SELECT {_COLUMNS}, {refined} "
            f"FROM {arriving[level]} AS a WHERE true ON CONFLICT (record_id, time) DO NOTHING"
        )
    windows = " UNION ".join(f"SELECT origin_id, time FROM {arriving[level]}" for level in levels)
    for level in _LEVELS[:-1]:
        if not any(other <= level + 1 for other in levels):
            continue
        yield (
            f"UPDATE {stored[level]} AS p SET refined = NOT refined "
            f"WHERE {names.within('p')} AND (p.record_id, p.time) IN ("
            f"SELECT q.record_id, q.time FROM ({windows}) AS w JOIN {stored[level]} AS q "
            f"ON q.origin_id = w.origin_id AND q.time = w.time "
            f"WHERE {names.within('q')} AND q.refined <> {_has_parts(stored, level, 'q', names)})"
        )


def _same(one: str, other: str) -> str:
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in _ONE_WINDOW)


def _has_parts(stored: list[str], level: int, of: str, names: Names) -> str:
    if level + 1 == len(stored):
        return "false"
    return (
        f"EXISTS (SELECT 1 FROM {stored[level + 1]} AS c WHERE c.origin_id = {of}.origin_id "
        f"AND c.time = {of}.time AND c.parent_record_id = {of}.record_id AND {names.within('c')})"
    )
