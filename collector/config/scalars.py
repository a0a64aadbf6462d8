"""One scalar -> one value of a wanted type, with what to write instead when it is not one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from collector.config.diagnostics import conceal, did_you_mean, sounds_secret
from collector.config.schema import choices, type_name
from collector.config.tree import Scalar, infer
from collector.config.types import ByteSize, Duration, Secret

_YAML_1_1_BOOL: Final = {
    **dict.fromkeys(("yes", "on", "y", "1"), "true"),
    **dict.fromkeys(("no", "off", "n", "0"), "false"),
}
_SHOWN_MAX: Final = 60
_DECIMAL: Final = re.compile(r"-?[0-9]{1,60}(?:\.[0-9]{1,60})?", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class ScalarError(ValueError):
    """A value is not of its type. `label`: what to write instead."""

    def __init__(self, message: str, label: str = "") -> None:
        super().__init__(message)
        self.label = label


def decode_scalar(node: Scalar, kinds: Sequence[Any]) -> Any:
    """Return the value of `node` as the one of `kinds` that fits what is written.

    Raises:
        ScalarError: it is none of them.
    """
    if len(kinds) == 1:
        return _decode_as(node, kinds[0])
    value = infer(node)
    for kind in kinds:  # `str | int | float | bool`: what YAML takes it for
        if type(value) is kind:
            return value
    if str in kinds:
        return node.text
    problem: ScalarError | None = None
    for kind in kinds:
        try:
            return _decode_as(node, kind)
        except ScalarError as error:
            problem = problem or error
    raise problem or ScalarError(f"{_shown(node)} is not a value here")


def _decode_as(node: Scalar, kind: Any) -> Any:
    allowed = choices(kind)
    if allowed is not None:
        return _choice(node, allowed)
    if kind is str:
        return node.text
    if kind is bool:
        return _boolean(node)
    if kind is int or kind is float:
        return _number(node, kind)
    if kind is Decimal:
        return _decimal(node)
    if kind is date:
        return _date(node)
    if kind is Path:
        return _path(node)
    if issubclass(kind, Secret):
        return kind(node.text)
    if issubclass(kind, Duration | ByteSize):
        try:
            return kind.parse(node.text)
        except ValueError as error:
            raise ScalarError(_without_value(str(error), node)) from None
    raise TypeError(f"config.decode does not know type {kind!r}")


def _boolean(node: Scalar) -> bool:
    value = infer(_unquoted(node))
    if isinstance(value, bool):
        return value
    meant = _YAML_1_1_BOOL.get(node.text.lower())
    label = f"write {meant}" if meant else "write true or false"
    raise ScalarError(f"{_shown(node)} is not true or false", _remove_quotes(node, bool) or label)


def _number(node: Scalar, kind: type[int] | type[float]) -> int | float:
    value = infer(_unquoted(node))
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return kind(value)
        except OverflowError:
            raise ScalarError(f"{_shown(node)} is too large") from None
    if kind is float and isinstance(value, float) and abs(value) < float("inf"):
        return value
    label = _remove_quotes(node, kind)
    text = node.text.strip()
    if not label and re.fullmatch(r"[-+]?0[0-9_]+", text):
        label = f"write {text.replace('_', '').lstrip('+-0') or '0'}, or 0o… for an octal number"
    elif not label and re.fullmatch(r"[-+]?[0-9]+(_[0-9]+)+", text):
        label = f"write {text.replace('_', '')}"
    raise ScalarError(f"{_shown(node)} is not {'an integer' if kind is int else 'a number'}", label)


def _decimal(node: Scalar) -> Decimal:
    """Read the digits as they are written, in quotes or not: a float would already be another number."""
    if not _DECIMAL.fullmatch(node.text):
        raise ScalarError(f"{_shown(node)} is not a decimal number", "write it like 0.031611")
    return Decimal(node.text)


def _date(node: Scalar) -> date:
    try:
        if _DATE.fullmatch(node.text):
            return date.fromisoformat(node.text)
    except ValueError:
        pass
    raise ScalarError(f"{_shown(node)} is not a date", "write it like 2026-01-31")


def _choice(node: Scalar, allowed: dict[str, Any]) -> Any:
    if node.text in allowed:
        return allowed[node.text]
    listed = ", ".join(word or '""' for word in allowed)
    label = did_you_mean(node.text, allowed) if not node.origin.startswith("${file:") else ""
    raise ScalarError(f"{_shown(node)} is not one of {listed}", label)


def _path(node: Scalar) -> Path:
    if "\0" in node.text or not node.text:
        raise ScalarError(f"{_shown(node)} is not a path")
    return Path(node.text)


def _unquoted(node: Scalar) -> Scalar:
    """Take the quotes off a substituted value: they were for the YAML parser, `port: "${env:PORT}"`."""
    return Scalar(node.text, node.place, quoted=False, origin=node.origin) if node.origin else node


def _remove_quotes(node: Scalar, kind: type[Any]) -> str:
    if node.quoted and not node.origin and type(infer(Scalar(node.text, node.place))) is kind:
        return f"remove the quotes: this is a text, not {type_name(kind)}"
    return ""


def _shown(node: Scalar) -> str:
    """Return the value for a message. Never one from a file, or from a variable that sounds like a secret."""
    if node.origin and ("${file:" in node.origin or sounds_secret(node.origin)):
        return "the value"
    text = conceal(node.text)
    return repr(text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…")


def _without_value(message: str, node: Scalar) -> str:
    """Put the value as it may be shown in place of itself."""
    return message.replace(repr(node.text), _shown(node))
