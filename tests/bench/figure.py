"""`Figure`: one number that a bench prints, and the bar it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured number. `bar`: what it must reach; `at_least`: by being above it, else by being below."""

    name: str
    value: float
    unit: str = ""
    bar: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """`ok`, `short`, or nothing where there is no bar."""
        if self.bar is None:
            return ""
        reached = self.value >= self.bar if self.at_least else self.value <= self.bar
        return "ok" if reached else "short"


def table(figures: Sequence[Figure]) -> str:
    """The figures as lines of text."""
    width = max((len(figure.name) for figure in figures), default=0)
    lines = []
    for figure in figures:
        bar = "" if figure.bar is None else f"{'≥' if figure.at_least else '≤'} {figure.bar:g}"
        lines.append(
            f"{figure.name:<{width}}  {_number(figure.value):>10} {figure.unit:<8} {bar:<10} {figure.verdict}"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
