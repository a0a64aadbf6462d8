"""Numbers and text as people read them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from collector.cli.database import human
from collector.cli.database.output import Column, show, show_json, show_rows, text


@pytest.mark.parametrize(
    ("bytes_", "expected"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_999, "1 MB"), (2**60, "1153 PB"), (None, "")],
)
def test_sizes_have_three_digits(bytes_: int | None, expected: str) -> None:
    """Thousands, as disks have it."""
    assert expected == human.size(bytes_)


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [(0, "0 ns"), (999, "999 ns"), (1500, "1.5 µs"), (2_340_000, "2.34 ms"), (12 * 10**9, "12 s"), (4321 * 10**9, "4321 s"), (-10**6, "-1 ms"), (None, "")],
)  # fmt: skip
def test_durations_have_the_unit_that_reads_best(nanoseconds: int | None, expected: str) -> None:
    """Never in powers of ten."""
    assert expected == human.duration(nanoseconds)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.0, "1"), (0.1 + 0.2, "0.3"), (1e20, "1e+20"), (7, "7"), (float("nan"), "nan"), (None, "")],
)
def test_numbers_have_six_digits(value: float | None, expected: str) -> None:
    """Whole ones are whole."""
    assert expected == human.number(value)


def test_a_sparkline_is_as_high_as_its_values() -> None:
    """What is no number is a gap; what never changes is a line."""
    assert human.sparkline([0, 7, 3, float("nan")]) == "▁█▄ "
    assert human.sparkline([5, 5]) == "▁▁"
    assert human.sparkline([float("inf")]) == ""


def test_text_of_others_cannot_command_the_terminal() -> None:
    """Escape sequences and direction marks are shown, not obeyed; markup is text."""
    assert text("a\x1b[31m[red]b\u202e\n").plain == "a\ufffd[31m[red]b\ufffd⏎"


def test_json_has_numbers_where_they_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    """PostgreSQL's numeric is exact; what a double cannot hold stays text."""
    show_json([Decimal(12), Decimal("0.5"), Decimal("0.12345678901234567890"), float("nan"), b"\x01"])
    assert capsys.readouterr().out.split() == [
        "[",
        "12,",
        "0.5,",
        '"0.12345678901234567890",',
        '"NaN",',
        '"AQ=="',
        "]",
    ]


def test_csv_quotes_what_must_be_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    """Separators, quotes, line feeds; nothing is empty; lists are JSON."""
    show_rows(["a", "b"], [('x,"y"\n', None), (True, [1, {"k": 2}])], "csv")
    assert capsys.readouterr().out == 'a,b\n"x,""y""\n",\ntrue,"[1, {""k"": 2}]"\n'


def test_an_empty_table_is_said_to_people_and_not_to_machines(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output stays what it is asked to be."""
    columns = [Column("a", lambda row: row)]
    show([], columns, "table", empty="Nothing.")
    assert capsys.readouterr() == ("", "Nothing.\n")
    show([], columns, "json", empty="Nothing.")
    assert capsys.readouterr() == ("[]\n", "")
    show([], columns, "csv", empty="Nothing.")
    assert capsys.readouterr() == ("a\n", "")
