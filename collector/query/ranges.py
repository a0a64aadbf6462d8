"""A metric over time, whatever its type: finds the series, groups them, and asks the table they are in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from collector.query.aggregation import Aggregation, Over
from collector.query.attributes import NO_ATTRIBUTES, Labels
from collector.query.histogram_range import histogram_samples
from collector.query.number_range import Steps, number_samples
from collector.query.reader import Reader
from collector.query.results import Range, Sample
from collector.query.series import Group, find_series, group_series
from collector.query.when import Length, Window, nanoseconds
from collector.storage.store import QueryError

# One line per stream, or one per value of these labels.
GroupBy: TypeAlias = "Literal['series'] | Sequence[str]"

# More steps than a screen has dots, a hundred times over: a mistyped step must not fill the memory.
STEPS_MAX: Final = 100_000


def steps_of(window: Window, step: Length | None) -> Steps:
    """Cut `window` into steps; None: one step.

    Raises:
        ValueError: a step is shorter than a microsecond, or there are too many.
    """
    # Never 0, which would mean "no bound".
    start = max(1000, window.start_unix_nano // 1000 * 1000)
    window = Window(start, -(-window.end_unix_nano // 1000) * 1000)
    length_us = (window.end_unix_nano - window.start_unix_nano) // 1000
    step_us = length_us if step is None else nanoseconds(step) // 1000
    if step_us < 1:
        raise ValueError(f"a step of {step!r} is too short: the shortest is one microsecond")
    if length_us / step_us > STEPS_MAX:
        raise ValueError(f"the window has more than {STEPS_MAX} steps of {step!r}: take a longer step")
    return Steps(window=window, step_us=step_us)


def read_range(
    reader: Reader, name: str, steps: Steps, aggregation: Aggregation, labels: Labels, group_by: GroupBy
) -> list[Range]:
    """Return the lines of metric `name`, one per group. Types and units are never mixed.

    Raises:
        QueryError: points of this type cannot be aggregated that way.
    """
    if isinstance(group_by, str) and group_by != "series":
        raise ValueError(f"group_by is {group_by!r}: expected 'series' or a list of labels, [{group_by!r}]")
    by = None if group_by == "series" else tuple(group_by)
    whole = not labels and by == ()
    streams = find_series(reader, name, labels)
    groups, group_of = group_series(streams, by)
    lines: dict[int, list[Sample]] = {}
    for kind in sorted({stream.type for stream in streams}):
        chosen = [stream for stream in streams if stream.type == kind]
        numbers = {stream.series_id: group_of[stream.series_id] for stream in chosen}
        if kind not in ("gauge", "sum"):
            lines |= histogram_samples(reader, name, steps, aggregation, chosen, numbers)
            continue
        if kind == "gauge" and aggregation.over in (Over.RATE, Over.INCREASE):
            raise QueryError(
                f"{name} is a gauge: it has no {aggregation.over.value}; ask for avg, min, max or last"
            )
        # Without labels the table needs no list of series to look for.
        lines |= number_samples(
            reader, name, steps, aggregation, None if whole and len(groups) == 1 else numbers
        )
    return [_range(name, groups[number], samples) for number, samples in sorted(lines.items()) if samples]


def _range(name: str, group: Group, samples: list[Sample]) -> Range:
    return Range(
        metric=name,
        type=group.type,
        unit=group.unit,
        labels=group.labels or NO_ATTRIBUTES,
        samples=tuple(samples),
    )
