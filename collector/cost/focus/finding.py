"""What the checker has found, and how much of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

# Of each rule and column so many findings are kept; all are counted. A bill of a million rows makes a mistake a
# million times.
FINDINGS_MAX: Final = 20


class Severity(Enum):
    """ERROR: FOCUS says MUST. WARNING: FOCUS says SHOULD, or it is right and will be misread."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. `line` 0: the file as a whole. `rule`: a word that stays the same."""

    file: str
    line: int
    column: str
    rule: str
    severity: Severity
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        column = f" {self.column}:" if self.column else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{where}: {self.severity.value}:{column} {self.message}{remedy} [{self.rule}]"


@dataclass(slots=True)
class Report:
    """The outcome of a check. `counts`: how often, by severity, rule and column; `findings`: the first of each."""

    file: str
    version: str
    rows: int = 0
    split_origins: int = 0
    counts: Counter[tuple[Severity, str, str]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(
        self,
        line: int,
        column: str,
        rule: str,
        message: str,
        remedy: str = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Count a finding, and keep it if it is among the first of its rule and column."""
        key = (severity, rule, column)
        self.counts[key] += 1
        if self.counts[key] <= FINDINGS_MAX:
            self.findings.append(
                Finding(
                    file=self.file,
                    line=line,
                    column=column,
                    rule=rule,
                    severity=severity,
                    message=message,
                    remedy=remedy,
                )
            )

    def count(self, severity: Severity) -> int:
        """How many there are of a severity."""
        return sum(number for (found, _, _), number in self.counts.items() if found is severity)

    def ok(self, *, strict: bool = False) -> bool:
        """Whether the file is right: no errors, and with `strict` no warnings either."""
        return not self.count(Severity.ERROR) and not (strict and self.count(Severity.WARNING))
