"""A configuration as a tree in which every node knows its place. Scalars keep their text: types come from the option.

`yaml.safe_load` would lose the places, take the last of two equal keys without a word, and read `on`, `0123` and
`1:30` as YAML 1.1 does. Here a scalar is text until a typed option asks for it (`config.decode`), and whatever
has to be inferred without a type follows the YAML 1.2 core schema (`infer`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from collector.config.diagnostics import Place

_NULL: Final = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT: Final = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DIGITS_MAX: Final = 400  # longer numbers are texts: no option needs them, and int() refuses at 4300


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text. `origin` is what was written (`${env:NAME}`) where the text was substituted."""

    text: str
    place: Place
    quoted: bool = False
    origin: str = ""

    @property
    def is_null(self) -> bool:
        """Whether it says "nothing": an empty or `null` value without quotes, or an empty substituted one."""
        if self.origin:
            return not self.text
        return not self.quoted and self.text in _NULL


@dataclass(frozen=True, slots=True)
class List:
    """A sequence."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's place, and its value."""

    key: Place
    value: Node


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping, in the order written."""

    entries: dict[str, Entry]
    place: Place


Node = Scalar | List | Map
Inferred = str | int | float | bool | None


def infer(scalar: Scalar) -> Inferred:
    """Return the value that a scalar has by itself: a text if it is in quotes."""
    if scalar.quoted:
        return scalar.text
    return None if scalar.is_null else infer_text(scalar.text)


def infer_text(text: str) -> Inferred:
    """Return the value of an unquoted text (YAML 1.2 core schema, section 10.3.2).

    A number with a leading zero stays a text: YAML 1.1 says octal, 1.2 says decimal, its author meant neither.
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) > _DIGITS_MAX:
        return text
    if _INT.fullmatch(text):
        return int(text, 0)
    if special := _SPECIAL_FLOAT.fullmatch(text):
        return float(f"{special[1] or ''}{(special[2] or special[3]).lower()}")
    if _FLOAT.fullmatch(text) and not re.match(r"[-+]?0[0-9]", text):
        return float(text)
    return text
