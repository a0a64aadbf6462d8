"""Whether one record can be in a FOCUS file: asked when it arrives, so that it does not spoil the file of a day.

What is wrong between rows only the file shows (`check`): one name in two categories, parts that differ.
"""

from __future__ import annotations

from typing import Final

from collector.cost.focus.finding import Severity
from collector.cost.focus.mapping import FocusExportError
from collector.cost.focus.record_row import RecordRows
from collector.cost.focus.row_rules import problems_of_row
from collector.cost.focus.rows import FocusOptions
from collector.cost.focus.value_rules import Problem, judge_of
from collector.cost.record import CostAttributionRecord, CostSource

_REMEMBERED_MAX: Final = 4096  # judged values kept per column


class RecordCheck:
    """Checks records against a version, by the rules of single values and of single rows."""

    def __init__(self, options: FocusOptions) -> None:
        self._version = options.version
        self._rows = RecordRows(options.version, options.defaults)
        self._judges = {name: judge_of(column, self._version) for name, column in self._rows.columns.items()}
        self._known: dict[str, dict[str, tuple[Problem, ...]]] = {name: {} for name in self._judges}

    def problem(self, record: CostAttributionRecord) -> str | None:
        """What keeps a record out, and what to do about it; None if nothing does. One without costs is in no file."""
        if not record.amounts.is_priced:
            return None
        try:
            row = self._rows.row(record) | self._rows.allocated(record)
        except FocusExportError as error:
            return str(error)
        if record.source is CostSource.INVOICE:
            return None  # what a bill says is for its issuer to mend: a warning of the file's
        cells = {name: row.get(name) for name in self._judges}
        for name, text in cells.items():
            if text is not None and (problem := self._of_value(name, text)):
                return _text(problem._replace(column=name))
        errors = (problem for problem in problems_of_row(cells, self._version) if _is_error(problem))
        return next(map(_text, errors), None)

    def _of_value(self, name: str, text: str) -> Problem | None:
        known = self._known[name]
        problems = known.get(text)
        if problems is None:
            if len(known) >= _REMEMBERED_MAX:
                known.clear()
            problems = known[text] = tuple(filter(_is_error, self._judges[name](text)))
        return problems[0] if problems else None


def _is_error(problem: Problem) -> bool:
    return problem.severity is Severity.ERROR


def _text(problem: Problem) -> str:
    return f"{problem.column} {problem.message}" + (f"; {problem.remedy}" if problem.remedy else "")
