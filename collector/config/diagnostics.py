"""What is wrong with a configuration, where, and what to do: `Problem`, and how it is shown.

error: unknown option 'endpont'
  --> collector.yaml:5:9
   |
 5 |         endpont: 127.0.0.1:4317
   |         ^^^^^^^ did you mean 'endpoint'?
   = receivers.otlp.protocols.grpc accepts: endpoint, max_recv_msg_size_mib
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

EXIT_CONFIG: Final = 78  # EX_CONFIG of sysexits.h

_WIDTH_MAX: Final = 160  # of a shown source line; longer ones are cut around the caret
# Also as people misspell it: the line of an unknown option is shown.
_SENSITIVE: Final = (
    r"(?i)(?:\bpass\b|pas+o?w|pas+_?phrase|pwd|secret|token|credential|api_?key|private_?key|authorization)"
)
_SENSITIVE_VALUE: Final = re.compile(_SENSITIVE + r"""[\w.-]*["']?\s*[:=]\s*(\S.*)""")
_URL_PASSWORD: Final = re.compile(r"://[^\s:/@]*:(\S+)@")
_REFERENCE: Final = re.compile(r"""["']?\$\{(?:(?!:-)[^{}])*\}["'\s,}\]]*""")  # one without a default
_COLORS: Final = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "caret": "\x1b[1;36m", "off": "\x1b[0m"}


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of one line of a source. `line` and `column` count from 1; `text` is the whole line."""

    file: str
    line: int
    column: int
    length: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding: what happened, where, what to do (`label`, shown at the caret), and what else helps."""

    message: str
    place: Place | None  # None: it concerns a source as a whole, which the message names
    label: str = ""
    notes: tuple[str, ...] = ()
    severity: Literal["error", "warning"] = "error"

    def render(self, *, color: bool = False) -> str:
        """Return the text of the finding, several lines without a final newline."""
        paint = _COLORS if color else dict.fromkeys(_COLORS, "")
        gutter = len(str(self.place.line)) if self.place else 1
        margin = " " * (gutter + 1)
        lines = [f"{paint[self.severity]}{self.severity}{paint['off']}: {_visible(self.message)}"]
        if self.place is not None:
            source, caret = _excerpt(self.place)
            label = f" {_visible(self.label)}" if self.label else ""
            lines += [
                f"{' ' * gutter} --> {_visible(str(self.place))}",
                f"{margin} |",
                f" {self.place.line} | {source}".rstrip(),
                f"{margin} | {paint['caret']}{caret}{label}{paint['off']}",
            ]
        elif self.label:
            lines.append(f"{margin} = {_visible(self.label)}")
        lines += [f"{margin} = {_visible(note)}" for note in self.notes]
        return "\n".join(lines)

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, for `--format json`."""
        place = self.place
        return {
            "severity": self.severity,
            "message": self.message,
            "file": place.file if place else None,
            "line": place.line if place else None,
            "column": place.column if place else None,
            "length": place.length if place else None,
            "label": self.label,
            "notes": list(self.notes),
        }


class ConfigError(Exception):
    """The configuration cannot be used. `problems` holds every finding, warnings among them."""

    exit_code: Final = EXIT_CONFIG

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(summary(self.problems))

    def render(self, *, color: bool = False) -> str:
        """Return all findings in source order, and a summary line."""
        return render(self.problems, color=color)


def render(problems: Sequence[Problem], *, color: bool = False) -> str:
    """Return the text of `problems`, in source order, with a summary line."""
    ordered = in_order(problems)
    return "\n\n".join([*(problem.render(color=color) for problem in ordered), summary(ordered)])


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort by place: what concerns a whole source first, then file by file from top to bottom."""
    listed = list(dict.fromkeys(problems))
    files = {name: rank for rank, name in enumerate(p.place.file for p in listed if p.place)}
    return sorted(
        listed, key=lambda p: (files[p.place.file], p.place.line, p.place.column) if p.place else ()
    )


def summary(problems: Sequence[Problem]) -> str:
    """Return `2 errors, 1 warning in collector.yaml`, with the exit code if there is an error."""
    errors = sum(problem.severity == "error" for problem in problems)
    counts = [
        f"{count} {word}{'s' if count != 1 else ''}"
        for count, word in ((errors, "error"), (len(problems) - errors, "warning"))
        if count
    ]
    files = list(dict.fromkeys(_visible(p.place.file) for p in problems if p.place))
    where = f" in {', '.join(files)}" if files else ""
    return f"{', '.join(counts) or 'no problems'}{where}" + (f" (exit {EXIT_CONFIG})" if errors else "")


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that was probably meant by `word`."""
    names = list(known)
    folded = {name.lower().replace("-", "_"): name for name in names}
    same = folded.get(word.lower().replace("-", "_"))
    if same is not None:
        return same
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?`, or nothing if no known word is close."""
    meant = suggest(word, known)
    return f"did you mean {meant!r}?" if meant is not None else ""


def conceal(text: str) -> str:
    """Cover what looks like a password in a source line, character by character, so that columns stay."""
    covered = _SENSITIVE_VALUE.sub(_cover, text)
    return _URL_PASSWORD.sub(_cover, covered)


def sounds_secret(name: str) -> bool:
    """Whether the name of an option or a variable says that its value is not to be shown."""
    return re.search(_SENSITIVE, name) is not None


def _cover(match: re.Match[str]) -> str:
    """Return the match with stars for its group, unless it is a reference, which says nothing."""
    value = match[1]
    begin, end = match.start(1) - match.start(), match.end(1) - match.start()
    return match[0] if _REFERENCE.fullmatch(value) else match[0][:begin] + "*" * len(value) + match[0][end:]


def _excerpt(place: Place) -> tuple[str, str]:
    """Return the source line and the carets under it, both cut if the line is long."""
    text, start = conceal(place.text), place.column - 1
    length = max(1, min(place.length, len(text) - start))
    if len(text) > _WIDTH_MAX:
        first = max(0, start - _WIDTH_MAX // 2)
        text = text[first : first + _WIDTH_MAX]
        start -= first
        length = max(1, min(length, len(text) - start))
    before, marked = text[:start], text[start : start + length]
    caret = "".join("\t" if c == "\t" else " " * _cells(c) for c in before) + "^" * max(
        1, sum(map(_cells, marked))
    )
    return _visible(text, keep="\t"), caret


def _cells(character: str) -> int:
    """Columns that a character takes in a terminal."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _visible(text: str, keep: str = "") -> str:
    """Replace what a terminal would act upon."""
    return "".join(c if c.isprintable() or c in keep else "\N{REPLACEMENT CHARACTER}" for c in text)
