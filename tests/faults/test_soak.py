"""The rule by which a soak is called flat."""

from __future__ import annotations

from tests.faults.footprint import MIB, Footprint
from tests.faults.soak import Sample, not_flat


def samples(rss_mib: float, growth_mib: float, *, files: int = 30, leaked: int = 0) -> list[Sample]:
    """A hundred samples of ten minutes."""
    return [
        Sample(
            number * 6.0,
            Footprint(20, files + leaked * number // 100, round((rss_mib + growth_mib * number / 100) * MIB)),
            0,
        )
        for number in range(100)
    ]


def test_a_process_that_stays_as_it_is_is_flat() -> None:
    """And so is one that swings without going anywhere."""
    assert not_flat(samples(80, 0)) == []
    swinging = [
        Sample(one.at, Footprint(20, 30, one.held.rss + (number % 10) * MIB), 0)
        for number, one in enumerate(samples(80, 0))
    ]
    assert not_flat(swinging) == []


def test_what_grows_is_found() -> None:
    """Memory by a line through it, file descriptors by their peaks."""
    (memory,) = not_flat(samples(80, 10))
    assert memory.startswith("RSS grows by")
    (files,) = not_flat(samples(80, 0, leaked=10))
    assert files.startswith("files from")


def test_warming_up_is_not_growth() -> None:
    """Caches fill in the first quarter."""
    warm = samples(80, 0)
    cold = [Sample(one.at, Footprint(10, 20, one.held.rss // 2), 0) for one in warm[:25]]
    assert not_flat([*cold, *warm[25:]]) == []
