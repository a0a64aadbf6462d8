"""Durations, sizes and secrets."""

from __future__ import annotations

import pytest

from collector.config.types import ByteSize, ConnectionString, Duration, Secret


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("200ms", 0.2),
        ("5s", 5.0),
        ("1h30m", 5400.0),
        ("90d", 7_776_000.0),
        ("1.5s", 1.5),
        ("0", 0.0),
        ("10", 10.0),
        (" 2w ", 1_209_600.0),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("3ns", 3e-9),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    """Go's units, days and weeks; a bare number is seconds."""
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5 seconds", "-1s", "1h 30m", "s", "inf", "nan", "1e400", "9" * 400 + "s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With how it is written."""
    with pytest.raises(ValueError, match="is not a duration"):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "200ms"), (90, "90s"), (5400, "90m"), (0.0, "0s"), (86400 * 14, "2w"), (1 / 3, "0.3333333333333333")]
)  # fmt: skip
def test_a_duration_is_printed_in_its_largest_unit(seconds: float, text: str) -> None:
    """That keeps it exact; otherwise as a number of seconds."""
    assert str(Duration(seconds)) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1048576", 2**20), ("64MiB", 2**26), ("20 MB", 20_000_000), ("1.5KiB", 1536), ("7B", 7), ("2GiB", 2**31)],
)  # fmt: skip
def test_a_size_is_read(text: str, size: int) -> None:
    """Binary and decimal units."""
    assert ByteSize.parse(text) == size


@pytest.mark.parametrize("text", ["", "-1", "64 mib", "1e3", "MiB", "1TiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """With how it is written."""
    with pytest.raises(ValueError, match="is not a size"):
        ByteSize.parse(text)


def test_a_secret_is_printed_by_nothing() -> None:
    """Only `reveal` gives it."""
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2")
    assert secret != Secret("hunter3")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:pw@host:5432/db?sslmode=require", "postgresql://me:[REDACTED]@host:5432/db?sslmode=require"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://host/db?user=me&password=pw&x=1", "postgresql://host/db?user=me&password=[REDACTED]&x=1"),
        ("postgresql://host/db?sslpassword=pw", "postgresql://host/db?sslpassword=[REDACTED]"),
        ("postgresql://me:p@ss/word@host/db", "postgresql://me:[REDACTED]@host/db"),
        ("host=h password=pw dbname=d", "host=h password=[REDACTED] dbname=d"),
        (r"host=h password = 'p \' w' dbname=d", "host=h password = [REDACTED] dbname=d"),
        ("sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
    ],
)  # fmt: skip
def test_a_connection_string_is_printed_without_its_password(text: str, shown: str) -> None:
    """All else helps to find out what is wrong."""
    connection = ConnectionString(text)
    assert str(connection) == shown
    assert repr(connection) == f"ConnectionString({shown!r})"
    assert connection.reveal() == text
