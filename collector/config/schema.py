"""The options of a config class, read from its fields. Decoding, printing and documenting all start here."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from collector.config.option import METADATA_KEY, Option, Unsupported
from collector.config.types import ByteSize, ConnectionString, Duration, Secret

_PLAIN: typing.Final = Option(doc="", minimum=None, maximum=None, aliases=(), example=None, parse=None)
_NAMES: typing.Final[dict[Any, str]] = {
    str: "text", int: "integer", float: "number", bool: "true or false", Path: "path", Any: "anything",
    Decimal: "decimal number", date: "date",
    Duration: "duration", ByteSize: "size", Secret: "secret", ConnectionString: "connection string",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One option of a config class."""

    name: str
    type: Any
    option: Option
    default: Any  # MISSING: it has to be given
    default_factory: Any

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is dataclasses.MISSING and self.default_factory is dataclasses.MISSING

    def default_value(self) -> Any:
        """Return the default (a new one, if a factory makes it)."""
        return self.default if self.default_factory is dataclasses.MISSING else self.default_factory()


@dataclass(frozen=True, slots=True)
class Schema:
    """All options of a config class."""

    fields: dict[str, Field]
    aliases: dict[str, str]  # other spelling -> name
    unsupported: dict[str, Unsupported]

    def find(self, key: str) -> Field | None:
        """Return the option that `key` names, by its name or an alias."""
        return self.fields.get(self.aliases.get(key, key))


def schema(config: type[Any]) -> Schema:
    """Return the options of a config class."""
    hashable: Any = config  # classes are; mypy does not see it in type[Any]
    return _schema(hashable)


@functools.cache
def _schema(config: Any) -> Schema:
    hints = typing.get_type_hints(config)
    # A class's own options before those it inherits: `path` of an exporter before the queue that all of them have.
    order = [name for cls in config.__mro__ for name in inspect.get_annotations(cls)]
    fields = {
        field.name: Field(
            field.name,
            hints[field.name],
            field.metadata.get(METADATA_KEY, _PLAIN),
            field.default,
            field.default_factory,
        )
        for field in sorted(dataclasses.fields(config), key=lambda field: order.index(field.name))
        if field.init
    }
    return Schema(
        fields,
        {alias: field.name for field in fields.values() for alias in field.option.aliases},
        {unsupported.key: unsupported for unsupported in getattr(config, "UNSUPPORTED", ())},
    )


def is_config(type_: Any) -> bool:
    """Whether `type_` is a class of options."""
    return isinstance(type_, type) and dataclasses.is_dataclass(type_)


def members(type_: Any) -> tuple[Any, ...]:
    """Return the types that a union allows, without `None`; of another type: itself."""
    if typing.get_origin(type_) is Annotated:
        return members(typing.get_args(type_)[0])
    if typing.get_origin(type_) in (Union, types.UnionType):
        return tuple(
            inner for arg in typing.get_args(type_) if arg is not types.NoneType for inner in members(arg)
        )
    return (type_,)


def is_optional(type_: Any) -> bool:
    """Whether `None` is allowed."""
    if typing.get_origin(type_) is Annotated:
        return is_optional(typing.get_args(type_)[0])
    return typing.get_origin(type_) in (Union, types.UnionType) and types.NoneType in typing.get_args(type_)


def nested(type_: Any) -> type[Any] | None:
    """Return the class of options that `type_` holds (`X`, `X | None`, `tuple[X, ...]`, `Mapping[str, X]`)."""
    for member in members(type_):
        if is_config(member):
            return typing.cast("type[Any]", member)
        if (item := list_item(member)) is not None and (inner := nested(item)) is not None:
            return inner
        if (pair := map_types(member)) is not None and (inner := nested(pair[1])) is not None:
            return inner
    return None


def list_item(type_: Any) -> Any | None:
    """Return `X` of `tuple[X, ...]`; None for other types."""
    arguments = typing.get_args(type_)
    if typing.get_origin(type_) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return arguments[0]
    return None


def map_types(type_: Any) -> tuple[Any, Any] | None:
    """Return key and value type of `Mapping[K, V]`; None for other types."""
    if typing.get_origin(type_) in (Mapping, dict):
        key, value = typing.get_args(type_)
        return key, value
    return None


def choices(type_: Any) -> dict[str, Any] | None:
    """Return spelling -> value for a `Literal` or an enum; None for other types."""
    if typing.get_origin(type_) is Literal:
        return {spell(value): value for value in typing.get_args(type_)}
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return {spell(member.value): member for member in type_}
    return None


def spell(value: Any) -> str:
    """Return how a single value is written in YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def type_name(type_: Any) -> str:
    """Return what a type is called in messages and in the documentation."""
    names: list[str] = []
    for member in members(type_):
        if (allowed := choices(member)) is not None:
            names.append(" | ".join(word or '""' for word in allowed))
        elif (item := list_item(member)) is not None:
            names.append(f"list of {type_name(item)}")
        elif (pair := map_types(member)) is not None:
            names.append(f"map of {type_name(pair[0])} to {type_name(pair[1])}")
        elif is_config(member):
            names.append("section")
        else:
            names.append(_NAMES.get(member) or str(getattr(member, "__name__", member)))
    return " or ".join(names)
