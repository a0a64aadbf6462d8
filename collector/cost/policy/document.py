"""The JSON of policies as somebody wrote it: kept to the last character, and where in it something is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from collector.cost.policy.policy import PolicyError
from collector.cost.policy.read import JsonError, json_value

POLICIES_MAX: Final = 10_000  # of one file
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def documents(text: str) -> list[tuple[str, str]]:
    """Return the policies of a text, each as it is written, with their places in it: `[1]`, `policies[1]`, or "".

    A text is one policy, a list of them, or an object with a list `policies`, which is how FinOpsGuard lists them.

    Raises:
        PolicyError: it is none of these.
    """
    data = json_value(text, "the file")
    if isinstance(data, dict) and isinstance(data.get("policies"), list):
        place, raw = "policies", _raw(text, dict[str, msgspec.Raw])["policies"]
        found = _raw(bytes(raw), list[msgspec.Raw])
    elif isinstance(data, list):
        place, found = "", _raw(text, list[msgspec.Raw])
    else:
        return [("", text.strip())]
    if len(found) > POLICIES_MAX:
        raise PolicyError(f"the file has more than {POLICIES_MAX} policies")
    return [(f"{place}[{index}]", bytes(one).decode().strip()) for index, one in enumerate(found)]


def with_fields(document: str, **fields: object) -> str:
    """Return a policy's JSON with some fields set, and every other one as it was written.

    If they have these values already, the text is the same, character by character.
    """
    raw: dict[str, Any] = _raw(document, dict[str, msgspec.Raw])
    new = {
        name: value
        for name, value in fields.items()
        if name not in raw or json.loads(bytes(raw[name])) != value
    }
    if not new:
        return document
    return msgspec.json.encode({**raw, **new}).decode()


def json_text(value: object) -> str:
    """Return what `json_value` reads, and enums, as JSON: decimals are numbers with all their digits."""
    return _ENCODER.encode(value).decode()


def locate(text: str, key: str) -> tuple[int, int]:
    """Return line and column, from 1, of what `key` names (`expression.rules[0].value`) in JSON that can be read.

    If that is not there, of the nearest thing around it that is.
    """
    parts = tuple(re.findall(r"[^.\[\]]+", key))
    best, at = 0, 0
    for path, start in _values(text):
        if path == parts[: len(path)] and len(path) >= best:
            best, at = len(path), start
    before = text[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


def placed(error: PolicyError, text: str) -> str:
    """Return `line:column: message` of an error in `text`."""
    line, column = (error.line, error.column) if isinstance(error, JsonError) else locate(text, error.key)
    return f"{line}:{column}: {error}"


def _values(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every value's path and where it begins; of a member of an object, where its key begins. One pass, no recursion."""
    path: list[str] = []
    kinds: list[str] = []
    key: tuple[str, int] | None = None  # of the member that is read
    expects_key = False
    for match in _TOKEN.finditer(text):
        word, at = match[0], match.start()
        if word in "}]":
            if kinds:
                kinds.pop()
                path = path[: len(kinds)]
            expects_key = False
        elif word == ",":
            expects_key = bool(kinds) and kinds[-1] == "{"
            if kinds and kinds[-1] == "[":
                path[len(kinds) - 1] = str(int(path[len(kinds) - 1]) + 1)
        elif word == ":":
            expects_key = False
        elif expects_key:
            key = (json.loads(word), at)
            path[len(kinds) - 1] = key[0]
        else:
            yield tuple(path), key[1] if key is not None else at
            key = None
            if word in "{[":
                kinds.append(word)
                path.append("" if word == "{" else "0")
                expects_key = word == "{"


def _raw(text: str | bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise JsonError(f"is not JSON: {error}") from None
