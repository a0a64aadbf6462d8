"""A tree -> typed, frozen configs. Every finding is collected, each at its place; nothing stops at the first.

What a config class may hold: see `config.option`. How a value is written:

* a text option takes an unquoted value as it stands: `0123`, `1e10`, `yes` and `12:30` stay what they are;
* true and false are `true` and `false` (YAML 1.2); `yes`, `on`, `no` and `off` are refused with a hint;
* an option without a value, or with `null`, keeps its default; a section without a body has all its defaults.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, TypeVar

from collector.config.diagnostics import Place, Problem, did_you_mean, suggest
from collector.config.option import Invalid
from collector.config.scalars import ScalarError, decode_scalar
from collector.config.schema import (
    Field,
    Schema,
    choices,
    is_config,
    is_optional,
    list_item,
    map_types,
    members,
    nested,
    schema,
    type_name,
)
from collector.config.tree import List, Map, Node, Scalar, infer
from collector.config.types import Secret

T = TypeVar("T")

_LISTED_MAX: Final = 25  # names in a note


class InvalidValue:
    """Stands for a value that could not be decoded; a problem says why."""


INVALID: Final = InvalidValue()


def decode(
    node: Node | None, config: type[T], *, path: str, place: Place, problems: list[Problem]
) -> T | InvalidValue:
    """Decode `node` as the options of `config`.

    Args:
        node: The body; None or an empty value means "all defaults".
        config: A frozen dataclass of `option(...)` fields.
        path: How messages call it: `receivers.otlp`.
        place: Where the key stands whose body this is.
        problems: Findings are added here; among them warnings, which do not make the value invalid.
    """
    decoder = _Decoder(problems)
    value = decoder.section(node, config, path, place)
    return value if isinstance(value, InvalidValue | config) else INVALID


def plain(node: Node) -> Any:
    """Return the tree as dicts, lists and scalars with the types they have by themselves."""
    match node:
        case Map():
            return {key: plain(entry.value) for key, entry in node.entries.items()}
        case List():
            return [plain(item) for item in node.items]
        case Scalar():
            return infer(node)


class _Decoder:
    """Walks tree and types together."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems

    def error(self, message: str, place: Place, label: str = "", *notes: str) -> InvalidValue:
        """Note an error."""
        self.problems.append(Problem(message=message, place=place, label=label, notes=notes))
        return INVALID

    def section(self, node: Node | None, config: Any, path: str, place: Place) -> Any:
        """Decode the options of a config class."""
        if node is None or (isinstance(node, Scalar) and node.is_null):
            node = Map({}, place)
        if not isinstance(node, Map):
            return self.wrong_kind(node, "a section of options", path, place)
        known = schema(config)
        values: dict[str, Any] = {}
        given: dict[str, Place] = {}
        excused: set[str] = set()  # a missing option of which a misspelt form is there
        failed = False
        unreadable: set[str] = set()
        for key, entry in node.entries.items():
            field = known.find(key)
            if field is None:
                failed |= self.unknown(key, entry.key, known, path, excused)
                continue
            if field.name in given:
                label = f"another name of what is set at {given[field.name]}"
                self.error(f"option {field.name!r} is given twice", entry.key, label)
                failed = True
                continue
            given[field.name] = entry.key
            value = self.option(entry.value, field, f"{path}.{key}" if path else key, entry.key)
            if value is INVALID:
                unreadable.add(field.name)
            elif value is not dataclasses.MISSING:
                values[field.name] = value
        for field in known.fields.values():
            if field.required and field.name not in {*given, *excused}:
                failed = True
                self.missing(field, path, place)
            if field.required and field.name not in values:
                unreadable.add(field.name)
        unreadable |= excused - values.keys()
        if unreadable:
            self.validated(_part_of(config, values, unreadable), config, node, path, place)
            return INVALID
        made = config(**values)
        if hasattr(made, "place"):
            object.__setattr__(made, "place", place)
        value = self.validated(made, config, node, path, place)
        return INVALID if failed else value

    def validated(self, value: Any, config: Any, node: Map, path: str, place: Place) -> Any:
        """Run the config's own checks, and put each finding at the option it names.

        Of a config with unreadable options, the checks run until one asks for such an option.
        """
        failed = False
        with contextlib.suppress(_UnreadableError):
            check = getattr(value, "validate", None)
            findings: Iterable[Invalid] = check() if callable(check) else ()
            for finding in findings:
                failed = True
                name = ".".join(part for part in (path, finding.key) if part)
                where = _locate(node, config, finding.key) or place
                self.error(f"{name}: {finding.message}", where)
        return INVALID if failed else value

    def unknown(self, key: str, place: Place, known: Schema, path: str, excused: set[str]) -> bool:
        """Report a key that is no option. Returns whether that is an error."""
        if key in known.unsupported:
            option = known.unsupported[key]
            self.problems.append(
                Problem(
                    message=f"option {key!r} of otelcol is not supported"
                    + (" and has no effect" if option.harmless else ""),
                    place=place,
                    label=option.effect,
                    severity="warning" if option.harmless else "error",
                )
            )
            return not option.harmless
        names = [*known.fields, *known.aliases]
        meant = suggest(key, names)
        label = did_you_mean(key, names)
        if meant is None and (deeper := _places_of(key, known)):
            label = f"it belongs under {' or '.join(deeper)}"
        if meant is not None:
            excused.add(known.aliases.get(meant, meant))
        accepted = ", ".join(list(known.fields)[:_LISTED_MAX]) or "no options"
        self.error(f"unknown option {key!r}", place, label, f"{path or 'this file'} accepts: {accepted}")
        return True

    def missing(self, field: Field, path: str, place: Place) -> None:
        """Report an option without which there is nothing to do."""
        notes = [f"{field.name}: {field.option.doc}"] if field.option.doc else []
        if field.option.example:
            notes.append(f"example: {field.name}: {field.option.example}")
        self.error(f"{path or 'the file'} needs option {field.name!r}", place, "it is missing here", *notes)

    def option(self, node: Node, field: Field, path: str, place: Place) -> Any:
        """Decode one option. `MISSING`: nothing is said, the default holds."""
        null = isinstance(node, Scalar) and node.is_null
        text = isinstance(node, Scalar) and _is_empty_text(node, field.type)
        section = any(is_config(member) for member in members(field.type))
        if null and not text and not is_optional(field.type) and not section:
            if field.required:
                return self.error(f"{path} has no value", place, f"expected: {type_name(field.type)}")
            return dataclasses.MISSING
        value = self.value(node, field.type, path, place)
        if value is INVALID or value is None:
            return value
        at = _point(node, place)
        low, high = field.option.minimum, field.option.maximum
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            if low is not None and not value >= low:
                return self.error(f"{path} is {value}", at, f"must be at least {_bound(low, value)}")
            if high is not None and not value <= high:
                return self.error(f"{path} is {value}", at, f"must be at most {_bound(high, value)}")
        if field.option.parse is not None:
            try:
                return field.option.parse(value)
            except ValueError as error:
                return self.error(f"{path}: {error}", at)
        return value

    def value(self, node: Node, type_: Any, path: str, place: Place) -> Any:
        """Decode any node as any type."""
        candidates = members(type_)
        if isinstance(node, Scalar) and node.is_null:
            if len(candidates) == 1 and is_config(candidates[0]):
                return self.section(node, candidates[0], path, place)
            if is_optional(type_) and not _is_empty_text(node, type_):
                return None
        if Any in candidates or object in candidates:
            return plain(node)
        match node:
            case Map():
                for member in candidates:
                    if is_config(member):
                        return self.section(node, member, path, place)
                    if (pair := map_types(member)) is not None:
                        return self.map(node, pair[0], pair[1], path)
            case List():
                for member in candidates:
                    if (item := list_item(member)) is not None:
                        return self.list(node, item, path)
            case Scalar():
                return self.scalar(node, type_, path, place)
        return self.wrong_kind(node, type_name(type_), path, place)

    def list(self, node: List, item_type: Any, path: str) -> Any:
        """Decode a list; all its items are looked at."""
        values = [
            self.value(item, item_type, f"{path}[{index}]", item.place)
            for index, item in enumerate(node.items)
        ]
        return INVALID if INVALID in values else tuple(values)

    def map(self, node: Map, key_type: Any, value_type: Any, path: str) -> Any:
        """Decode a mapping with keys of the user's choice, or of a closed set."""
        allowed = choices(key_type)
        values: dict[Any, Any] = {}
        for key, entry in node.entries.items():
            if allowed is not None and key not in allowed:
                accepts = f"{path} accepts: {', '.join(allowed)}"
                values[key] = self.error(
                    f"unknown key {key!r}", entry.key, did_you_mean(key, allowed), accepts
                )
                continue
            name = allowed[key] if allowed is not None else key
            values[name] = self.value(entry.value, value_type, f"{path}.{key}", entry.key)
        return INVALID if INVALID in values.values() else values

    def scalar(self, node: Scalar, type_: Any, path: str, place: Place) -> Any:
        """Decode a single value."""
        at = _point(node, place)
        collections = (is_config, list_item, map_types)
        kinds = [kind for kind in members(type_) if not any(test(kind) for test in collections)]
        if node.is_null and not _is_empty_text(node, type_):
            for member in members(type_):
                if map_types(member):
                    return {}
                if list_item(member):
                    return ()
            return self.error(f"{path} has no value", place, f"expected: {type_name(type_)}")
        if not kinds:
            return self.wrong_kind(node, type_name(type_), path, place)
        try:
            return decode_scalar(node, kinds)
        except ScalarError as error:
            notes = (f"the value comes from {node.origin}",) if node.origin else ()
            return self.error(f"{path}: {error}", at, error.label, *notes)

    def wrong_kind(self, node: Node, expected: str, path: str, place: Place) -> InvalidValue:
        """Report a list where a text should be, and the like."""
        match node:
            case Map():
                return self.error(f"{path}: expected {expected}, found a mapping", place)
            case List():
                return self.error(f"{path}: expected {expected}, found a list", place)
            case Scalar():
                label = ""
                if expected.startswith("list of"):
                    label = "write it as a list: [value]"
                elif ":" in node.text and not node.quoted and not node.origin:
                    label = "is a space missing after ':'?"
                return self.error(f"{path}: expected {expected}, found a text", _point(node, place), label)


class _UnreadableError(Exception):
    """A check asked for an option that could not be read: what it would find is not known."""


def _part_of(config: type[Any], values: dict[str, Any], unreadable: set[str]) -> Any:
    """Return a `config` of which the options `unreadable` raise `_UnreadableError`."""

    def get(self: Any, name: str) -> Any:
        if name in unreadable:
            raise _UnreadableError(name)
        return object.__getattribute__(self, name)

    part = type(config.__name__, (config,), {"__getattribute__": get})
    return part(**{**dict.fromkeys(unreadable), **values})


def _is_empty_text(node: Scalar, type_: Any) -> bool:
    """Whether an empty value is a text: it was substituted, and a text is wanted."""
    texts = (kind for kind in members(type_) if isinstance(kind, type) and issubclass(kind, str | Secret))
    return bool(node.origin) and not node.text and any(texts)


def _point(node: Node, place: Place) -> Place:
    """Return where a finding about a value is shown: at the value if it is visible there, else at its key."""
    shown = isinstance(node, Scalar) and (node.text or node.quoted or node.origin)
    return node.place if shown else place


def _bound(bound: float, value: float | Decimal) -> str:
    """Return a bound in the spelling of the value's type."""
    kind = int if type(value) is int and float(bound).is_integer() else type(value)
    return str(kind(bound))


def _locate(node: Node, config: Any, dotted: str) -> Place | None:
    """Return the place of the key that `dotted` names below `node`, or of the last part of it that is there."""
    found: Place | None = None
    kind: Any = config
    for part in dotted.replace("[", ".").replace("]", "").split("."):
        if isinstance(node, List) and part.isdecimal() and int(part) < len(node.items):
            node = node.items[int(part)]
            found = node.place
        elif isinstance(node, Map):
            field = schema(kind).find(part) if kind is not None else None
            spellings = (part, *field.option.aliases) if field is not None else (part,)
            entry = next((node.entries[name] for name in spellings if name in node.entries), None)
            if entry is None:
                return found
            found, node = entry.key, entry.value
            kind = nested(field.type) if field is not None else None
        else:
            return found
    return found


def _places_of(key: str, known: Schema, prefix: str = "", depth: int = 3) -> list[str]:
    """Return the nested sections that do have an option `key`."""
    found: list[str] = []
    for field in known.fields.values():
        inner = next((member for member in members(field.type) if is_config(member)), None)
        if inner is None or depth == 0:
            continue
        path = f"{prefix}{field.name}"
        if schema(inner).find(key) is not None:
            found.append(path)
        found += _places_of(key, schema(inner), f"{path}.", depth - 1)
    return found
