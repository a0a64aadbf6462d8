"""Attributes as Python values, and whether they carry the labels somebody asks for.

Stored JSON is the lossless form of `storage.values`. Here its tags become what they stand for: bytes, and the
doubles that JSON cannot say.
"""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from collector.storage.values import double_text, parse_json, quote

Attributes: TypeAlias = "Mapping[str, Any]"
Label: TypeAlias = "str | int | float | bool"
Labels: TypeAlias = "Mapping[str, Label]"

NO_ATTRIBUTES: Final[Attributes] = MappingProxyType({})


def parse(text: str | None) -> Any:
    """Return the Python value of stored JSON; None for NULL."""
    return None if text is None else _untagged(parse_json(text))


def parse_attributes(text: str | None) -> Attributes:
    """Return stored attributes: read-only, empty for NULL. The list itself is never tagged."""
    if text is None or text == "{}":
        return NO_ATTRIBUTES
    return MappingProxyType({key: _untagged(value) for key, value in parse_json(text).items()})


def fragments(key: str, wanted: Label) -> tuple[str, ...]:
    """Return the texts of which one stands in stored attributes, if they carry this label.

    Lets a database skip most rows without parsing JSON. The text may also stand deeper inside a value, so
    `carries` has the last word.
    """
    return tuple(f"{quote(key)}:{literal}" for literal in _literals(wanted))


def carries(labels: Labels, places: Sequence[Attributes]) -> bool:
    """Whether each label is found in one of `places`, say a point's own attributes and its resource's.

    Text also matches a number or boolean written that way, since a command line has nothing but text; `1` and
    `1.0` are the same number.
    """
    return all(
        any(key in place and _equal(place[key], wanted) for place in places) for key, wanted in labels.items()
    )


def label_text(value: Any) -> str:
    """Return an attribute's value as people read it in a table: text as it is, the rest as JSON would say it."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return ""
        case float():
            return repr(value)
        case bytes():
            return value.hex()
        case list():
            return f"[{', '.join(label_text(item) for item in value)}]"
        case Mapping():
            return f"{{{', '.join(f'{key}: {label_text(item)}' for key, item in value.items())}}}"
        case _:
            return str(value)


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        match key:
            case "@double":
                return float(inner)
            case "@bytes":
                return b64decode(inner)
            case "@kvlist":
                value = inner
            case _:
                pass
    return {name: _untagged(item) for name, item in value.items()}


def _equal(value: Any, wanted: Label) -> bool:
    if isinstance(wanted, str):
        return value == wanted or (isinstance(value, bool | int | float) and label_text(value) == wanted)
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    return isinstance(value, int | float) and (value == wanted or (math.isnan(value) and math.isnan(wanted)))


def _literals(wanted: Label) -> tuple[str, ...]:
    match wanted:
        case str():
            return (quote(wanted), *(_number_literals(wanted) if _looks_like_number(wanted) else ()))
        case bool():
            return (label_text(wanted),)
        case _:
            return _number_literals(repr(wanted))


def _looks_like_number(text: str) -> bool:
    if text in ("true", "false"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number_literals(text: str) -> tuple[str, ...]:
    if text in ("true", "false"):
        return (text,)
    number = float(text)
    if not math.isfinite(number):
        # An integer too large for a double stands there as it is written.
        return (double_text(number), text)
    return tuple(dict.fromkeys((text, repr(number), *((str(int(number)),) if number.is_integer() else ()))))
