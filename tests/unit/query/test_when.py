"""Times and lengths as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.query.when import TIME_MAX, Window, iso, nanoseconds, unix_nano
from tests.support.fake_clock import FakeClock

NOW = 1_700_000_000_000_000_000
HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (1_700_000_000, NOW),
        (1_700_000_000.25, NOW + 250_000_000),
        (datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC), NOW + 1000),
        (datetime(2023, 11, 15, 0, 13, 20, tzinfo=timezone(timedelta(hours=2))), NOW),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T22:13:20.123456789Z", NOW + 123_456_789),
        ("2023-11-15T00:13:20,5+02:00", NOW + 500_000_000),
        ("2023-11-14 22:13:20", NOW),
        ("2023-11-14", NOW - 80_000 * 10**9),
        ("1700000000", NOW),
        ("1700000000.000000001", NOW + 1),
        ("now", NOW),
        ("-1h", NOW - HOUR),
        ("now-90d", NOW - 90 * 24 * HOUR),
        ("now - 1h", NOW - HOUR),
        ("+1h30m", NOW + 3 * HOUR // 2),
        ("-100000d", 0),
        (0, 0),
    ],
)
def test_a_time_is_read_to_the_nanosecond(when: datetime | float | str, expected: int) -> None:
    """Each way of writing a time, on a clock that stands at 2023-11-14T22:13:20Z."""
    assert expected == unix_nano(when, FakeClock(unix_nano=NOW))


@pytest.mark.parametrize(
    ("when", "word"),
    [
        (datetime(2023, 11, 14), "time zone"),  # noqa: DTZ001  the point
        (1_700_000_000_000, "milliseconds"),
        (float("nan"), "milliseconds"),
        (-1, "1970"),
        ("yesterday", "write"),
        ("-1x", "duration"),
        ("2023-13-01", "write"),
        ("", "write"),
    ],
)
def test_what_is_not_a_time_is_refused_with_advice(when: datetime | float | str, word: str) -> None:
    """The message says what is wrong or what to write."""
    with pytest.raises(ValueError, match=word):
        unix_nano(when, FakeClock(unix_nano=NOW))


@pytest.mark.parametrize(
    ("length", "expected"),
    [(60, 60 * 10**9), (0.5, 500_000_000), ("5m", 300 * 10**9), (timedelta(microseconds=7), 7000), ("0", 0)],
)
def test_a_length_is_read(length: timedelta | float | str, expected: int) -> None:
    """Seconds, text or timedelta."""
    assert expected == nanoseconds(length)


@pytest.mark.parametrize("length", [-1, timedelta(seconds=-1), "soon", float("inf")])
def test_what_is_not_a_length_is_refused(length: timedelta | float | str) -> None:
    """Negative, endless or unreadable."""
    with pytest.raises(ValueError, match=r"length|duration|negative"):
        nanoseconds(length)


def test_a_window_that_holds_nothing_is_refused() -> None:
    """An end that is not after the start is a mistake, not an empty answer."""
    with pytest.raises(ValueError, match="empty"):
        Window.of("now", "-1h", FakeClock(unix_nano=NOW))


def test_a_window_without_ends_holds_everything() -> None:
    """None is no bound."""
    assert Window(0, TIME_MAX) == Window.of(None, None, FakeClock())


@given(st.integers(0, TIME_MAX))
def test_iso_text_is_read_back_as_the_same_time(time: int) -> None:
    """Nothing is rounded on the way to people and back."""
    assert time == unix_nano(iso(time), FakeClock())
