"""What came out of a fault, and the table of all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Items, and in words what should not be. Outcomes of several runs add up."""

    runs: int = 0
    acked: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    problems: tuple[str, ...] = ()
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the promise was kept."""
        return not self.problems and not self.lost and not self.doubled

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            runs=self.runs + other.runs,
            acked=self.acked + other.acked,
            stored=self.stored + other.stored,
            lost=self.lost + other.lost,
            doubled=self.doubled + other.doubled,
            problems=self.problems + other.problems,
            note=other.note or self.note,
        )

    def but(self, *problems: str, note: str = "") -> Outcome:
        """The same with more to say."""
        return self + Outcome(problems=problems, note=note)


_HEAD = ("fault", "runs", "acked", "stored", "lost", "doubled", "", "seconds")


def table(rows: list[tuple[str, Outcome, float]]) -> str:
    """The outcomes as aligned text; below it, what fell short."""
    cells = [
        _HEAD,
        *(
            (
                name,
                str(one.runs),
                f"{one.acked:,}",
                f"{one.stored:,}",
                str(one.lost),
                str(one.doubled),
                "ok" if one.ok else "short",
                f"{seconds:.0f}",
            )
            for name, one, seconds in rows
        ),
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + (f"  {rows[number - 1][1].note}" if number and rows[number - 1][1].note else "")
        for number, row in enumerate(cells)
    ]
    lines += [f"short: {name}: {problem}" for name, one, _ in rows for problem in one.problems]
    return "\n".join(line.rstrip() for line in lines)
