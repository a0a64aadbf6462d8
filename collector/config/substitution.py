"""`${…}` in scalars. It happens after parsing, so that a value can never become structure.

    ${env:NAME} ${NAME}      the environment variable; an error if it is not set
    ${env:NAME:-default}     the default if it is not set; it may hold `${…}` in turn
    ${file:/path}            the file's text without one newline at its end, as editors and `echo` leave there
    $$                       a dollar sign

What is substituted is not looked at again: a password may hold `${`. The result takes the type of its option: a
text option gets the value as it is, be it `1e10`, `yes` or nothing at all; a number has to be one.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from collector.config.diagnostics import Place, Problem
from collector.config.sources import SourceError, Surroundings
from collector.config.tree import Entry, List, Map, Node, Scalar

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]+):")
_NESTED_MAX: Final = 10


class _ReferenceError(Exception):
    """A `${…}` cannot be resolved. `label`: how to mend it; `reference`: which one."""

    def __init__(self, message: str, label: str = "") -> None:
        super().__init__(message)
        self.label = label
        self.reference = ""


def substitute(node: Node, surroundings: Surroundings, problems: list[Problem]) -> Node:
    """Return the tree with every `${…}` in its scalars replaced; what cannot be goes to `problems`."""
    match node:
        case Scalar():
            return _scalar(node, surroundings, problems)
        case List():
            return List(tuple(substitute(item, surroundings, problems) for item in node.items), node.place)
        case Map():
            return Map(
                {
                    key: Entry(entry.key, substitute(entry.value, surroundings, problems))
                    for key, entry in node.entries.items()
                },
                node.place,
            )


def escape(text: str) -> str:
    """Return what has to be written so that substitution gives `text`."""
    return text.replace("$", "$$") if "${" in text or "$$" in text else text


def _scalar(node: Scalar, surroundings: Surroundings, problems: list[Problem]) -> Scalar:
    if "$" not in node.text:
        return node
    try:
        text = _expand(node.text, surroundings, 0)
    except _ReferenceError as error:
        place = _narrow(node.place, error.reference)
        problems.append(Problem(message=str(error), place=place, label=error.label))
        return node
    return Scalar(text, node.place, node.quoted, origin=node.text)


def _narrow(place: Place, part: str) -> Place:
    """Return where `part` stands in the scalar at `place`, if it stands there as it is."""
    start = place.text.find(part, place.column - 1) if part else -1
    return replace(place, column=start + 1, length=len(part)) if start >= 0 else place


def _expand(text: str, surroundings: Surroundings, depth: int) -> str:
    if depth > _NESTED_MAX:
        raise _ReferenceError(f"'${{…}}' is nested more than {_NESTED_MAX} deep")
    parts: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        follower = text[dollar + 1 : dollar + 2]
        if follower == "$":
            parts.append("$")
            at = dollar + 2
        elif follower == "{":
            end = _closing(text, dollar + 2)
            if end is None:
                raise _ReferenceError("'${' without its '}'", "write '$${' for these characters themselves")
            try:
                parts.append(_resolve(text[dollar + 2 : end], surroundings, depth))
            except _ReferenceError as error:
                error.reference = error.reference or text[dollar : end + 1]
                raise
            at = end + 1
        else:
            parts.append("$")
            at = dollar + 1
    parts.append(text[at:])
    return "".join(parts)


def _closing(text: str, start: int) -> int | None:
    """Return where the `}` is that ends the reference whose inside begins at `start`."""
    depth = 1
    at = start
    while at < len(text):
        if text.startswith("$$", at):
            at += 1
        elif text.startswith("${", at):
            depth += 1
            at += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    return None


def _resolve(inside: str, surroundings: Surroundings, depth: int) -> str:
    """Return the value of `${inside}`."""
    scheme = _SCHEME.match(inside)
    try:
        if scheme is None or inside.startswith(":-", scheme.end(1)):
            return _variable(inside, surroundings, depth)
        if scheme[1] == "env":
            return _variable(inside[scheme.end() :], surroundings, depth)
        if scheme[1] == "file":
            content = surroundings.file(_expand(inside[scheme.end() :], surroundings, depth + 1))
            return content.removesuffix("\n").removesuffix("\r") if content.endswith("\n") else content
    except SourceError as error:
        raise _ReferenceError(str(error)) from error
    raise _ReferenceError(f"'${{{scheme[1]}:…}}' is not supported", "only ${env:NAME} and ${file:/path} are")


def _variable(reference: str, surroundings: Surroundings, depth: int) -> str:
    name, separator, default = reference.partition(":-")
    if not _NAME.fullmatch(name):
        raise _ReferenceError(
            f"{name!r} is not the name of an environment variable", "write '$${' for the characters '${'"
        )
    value = surroundings.variable(name)
    if value is None and separator:
        value = _expand(default, surroundings, depth + 1)
    if value is None:
        value = surroundings.built_in(name)
    if value is None:
        raise _ReferenceError(
            f"environment variable {name} is not set", f"set it, or write ${{env:{name}:-default}}"
        )
    return value
