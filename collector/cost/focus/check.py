"""Our own strict checker of a FOCUS Cost and Usage file.

It judges every value, every row, every split and the header, in one pass, with memory that does not grow with the
file. What it finds beyond the official validator is in README.md.
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import BinaryIO, Final

from collector.cost.focus.columns import BY_NAME, VERSIONS, Column, DataType, Level, columns_of
from collector.cost.focus.finding import Report, Severity
from collector.cost.focus.mapping import SOURCE, SOURCE_TEXT
from collector.cost.focus.row_rules import problems_of_row
from collector.cost.focus.split_rules import SplitRules
from collector.cost.focus.table import FileError, Table, TableLimits, open_table
from collector.cost.focus.value_rules import Judge, Problem, judge_null, judge_of
from collector.cost.record import CostSource

_CUSTOM: Final = re.compile(r"x_[A-Z][A-Za-z0-9]*", re.ASCII)
_NAME_LENGTH_MAX: Final = 50  # FOCUS attribute "ColumnHandling": SHOULD NOT exceed 50 characters
# First: what it has only one of, and whether FOCUS says MUST (ServiceName, SkuPriceId: "one and only one").
_ONE_OF: Final = (
    ("ServiceName", "ServiceCategory", Severity.ERROR),
    ("ServiceName", "ServiceSubcategory", Severity.WARNING),
    ("SkuPriceId", "SkuId", Severity.ERROR),
)
_ONE_OF_MAX: Final = 200_000  # names remembered for that; of further ones nothing is said
_REMEMBERED_MAX: Final = 4096  # judged values kept per column: most columns have few
_BILLED: Final = SOURCE_TEXT[CostSource.INVOICE]
_PARQUET_TYPES: Final = {
    DataType.DECIMAL: ("decimal128", "decimal256"),
    DataType.DATETIME: ("timestamp",),
    DataType.STRING: ("string", "large_string", "dictionary"),
    DataType.KEY_VALUE: ("string", "large_string", "dictionary"),
    DataType.JSON_OBJECT: ("string", "large_string", "dictionary"),
}


def check_file(
    stream: BinaryIO,
    name: str,
    version: str | None = None,
    *,
    limits: TableLimits | None = None,
    as_billed: bool = False,
) -> Report:
    """Check a CSV or Parquet file. A file that cannot be read (on) is a finding with the rule `file`.

    Args:
        stream: At its beginning; seekable for Parquet.
        name: For the findings.
        version: FOCUS version, `1.0` to `1.4`; None: the one that the header fits best.
        limits: What is too long or too wide.
        as_billed: For files of ours: what a row of an imported bill says is for its issuer to mend, so it is a warning.

    Raises:
        ValueError: there is no such version.
        ParquetUnavailableError: Parquet without pyarrow.
    """
    notes: list[tuple[str, int]] = []
    try:
        table = open_table(
            stream, name, limits=limits, note=lambda rule, _column, line: notes.append((rule, line))
        )
    except FileError as error:
        report = Report(name, version or VERSIONS[-1])
        report.add(error.line, error.column, error.rule, error.problem, error.remedy)
        return report
    report = check_table(table, version, as_billed=as_billed)
    for rule, line in notes:
        report.add(line, "", rule, f"a {rule.replace('-', ' ')}", severity=Severity.WARNING)
    return report


def check_table(table: Table, version: str | None = None, *, as_billed: bool = False) -> Report:
    """Check an open table; see `check_file`."""
    version = version or detect_version(table.columns)
    columns = columns_of(version)
    report = Report(table.name, version)
    _header(table, columns, report)
    with closing(SplitRules(table.columns)) as splits:
        checker = _Rows(table, columns, report, splits, as_billed=as_billed)
        try:
            for line, values in table.rows:
                checker.row(line, values)
        except FileError as error:
            report.add(error.line, error.column, error.rule, error.problem, error.remedy)
        checker.finish()
    return report


def detect_version(columns: tuple[str, ...]) -> str:
    """The FOCUS version that a header fits best: least missing and unknown columns; the older one if two do."""

    def misfits(version: str) -> int:
        known = columns_of(version)
        missing = sum(
            c.level_in(version) is Level.MANDATORY and c.name not in columns for c in known.values()
        )
        return missing + sum(name in BY_NAME and name not in known for name in columns)

    return min(VERSIONS, key=misfits)


def _header(table: Table, columns: dict[str, Column], report: Report) -> None:
    version = report.version
    custom_seen = ""
    for name in table.columns:
        if name in columns:
            if custom_seen:
                message = f"stands behind the custom column {custom_seen}"
                report.add(1, name, "column-order", message, "custom columns go last", Severity.WARNING)
            _parquet_type(table, columns[name], report)
        elif name in BY_NAME:
            column = BY_NAME[name]
            removed = column.removed is not None and version >= column.removed
            what = f"was removed in {column.removed}" if removed else f"came with {column.introduced}"
            report.add(
                1, name, "unknown-column", f"is not a column of FOCUS {version}: it {what}", "leave it out"
            )
        else:
            custom_seen = name
            _custom_name(name, report)
    for column in columns.values():
        if column.level_in(version) is Level.MANDATORY and column.name not in table.columns:
            report.add(1, column.name, "missing-column", f"is mandatory in FOCUS {version} and not there")


def _custom_name(name: str, report: Report) -> None:
    if not name.startswith("x_"):
        near = next((known for known in BY_NAME if known.casefold() == name.casefold()), None)
        remedy = f"write {near}" if near else f"write x_{name[:1].upper()}{name[1:]}"
        report.add(1, name, "custom-column", "is not a FOCUS column and does not begin with x_", remedy)
    elif not _CUSTOM.fullmatch(name):
        message = "is not x_ and PascalCase"
        report.add(1, name, "custom-column", message, severity=Severity.WARNING)
    elif len(name) > _NAME_LENGTH_MAX:
        message = f"is longer than {_NAME_LENGTH_MAX} characters"
        report.add(1, name, "custom-column", message, severity=Severity.WARNING)


def _parquet_type(table: Table, column: Column, report: Report) -> None:
    actual = table.types.get(column.name)
    if actual is None or actual == "null":
        return
    expected = _PARQUET_TYPES[column.type]
    if not actual.startswith(expected):
        message = f"is {actual} in the Parquet schema"
        report.add(0, column.name, "parquet-type", message, f"write {expected[0]}")
    elif column.type is DataType.DATETIME and "tz=" not in actual:
        message = f"is {actual} in the Parquet schema: the zone is missing"
        report.add(0, column.name, "parquet-type", message, "write timestamp[us, tz=UTC]", Severity.WARNING)


class _Rows:
    """Goes over the rows. What it judged of a value it remembers: most values come again."""

    def __init__(
        self, table: Table, columns: dict[str, Column], report: Report, splits: SplitRules, *, as_billed: bool
    ) -> None:
        self._names = table.columns
        self._source = table.columns.index(SOURCE) if as_billed and SOURCE in table.columns else None
        self._is_billed = False  # the row at hand
        self._report = report
        self._splits = splits
        self._version = report.version
        self._is_parquet = bool(table.types)
        self._cells: list[tuple[str, Judge, Problem | None, dict[str, tuple[Problem, ...]]] | None] = []
        for name in table.columns:
            column = columns.get(name)
            self._cells.append(
                None if column is None else (name, judge_of(column, self._version), judge_null(column), {})
            )
        self._decimals = {
            index: False
            for index, name in enumerate(table.columns)
            if name in columns and columns[name].type is DataType.DECIMAL
        }
        self._filled: set[int] = set()
        self._ones: dict[tuple[str, str, str], tuple[str, int]] = {}

    def row(self, line: int, values: list[str | None]) -> None:
        report = self._report
        report.rows += 1
        if len(values) != len(self._names):
            message = f"{len(values)} fields, the header has {len(self._names)}"
            report.add(line, "", "row-length", message, "quote fields that hold a comma")
            return
        self._is_billed = self._source is not None and values[self._source] == _BILLED
        for value, cell in zip(values, self._cells, strict=True):
            if cell is None:
                continue
            name, judge, null, remembered = cell
            if value is None:
                if null is not None:
                    self._found(line, name, null)
                continue
            problems = remembered.get(value)
            if problems is None:
                if len(remembered) >= _REMEMBERED_MAX:
                    remembered.clear()
                problems = remembered[value] = judge(value)
            for problem in problems:
                self._found(line, name, problem)
        row = dict(zip(self._names, values, strict=True))
        for problem in problems_of_row(row, self._version):
            self._found(line, problem.column, problem)
        self._one_of(line, row)
        self._splits.add(line, row)
        if self._decimals and not self._is_parquet:
            self._points(values)

    def _one_of(self, line: int, row: dict[str, str | None]) -> None:
        for name, other, severity in _ONE_OF:
            value, its = row.get(name), row.get(other)
            if not value or not its:
                continue
            key = (name, other, value)
            known = self._ones.get(key)
            if known is None:
                if len(self._ones) < _ONE_OF_MAX:
                    self._ones[key] = (its, line)
            elif known[0] != its:
                message = f"{its!r} for {name} {value!r}, which has {known[0]!r} on line {known[1]}"
                self._found(line, other, Problem("one-and-only-one", message, severity=severity))

    def _points(self, values: list[str | None]) -> None:
        for index in list(self._decimals):
            value = values[index]
            if value is not None:
                self._filled.add(index)
                if "." in value:
                    del self._decimals[index]

    def finish(self) -> None:
        report = self._report
        if not report.rows:
            report.add(0, "", "empty", "there are no rows", severity=Severity.WARNING)
        for index in self._decimals:
            if index in self._filled:
                report.add(
                    0,
                    self._names[index],
                    "whole-numbers",
                    "holds nothing but whole numbers without a point: readers that guess types take it for integers",
                    "write 1.0 for 1",
                    Severity.WARNING,
                )
        self._splits.finish(report)

    def _found(self, line: int, column: str, problem: Problem) -> None:
        severity, message = problem.severity, problem.message
        if self._is_billed and severity is Severity.ERROR:
            severity, message = Severity.WARNING, f"{message}, as the bill has it"
        self._report.add(line, column, problem.rule, message, problem.remedy, severity)
