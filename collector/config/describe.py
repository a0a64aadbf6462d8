"""What can be configured, as data: every option of a config class with its type, default, bounds and text."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from collector.config.encode import encode
from collector.config.schema import Field, is_config, is_optional, members, nested, schema, type_name
from collector.config.types import ByteSize, Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One option. `options` are those of the section it holds; `unsupported` those of otelcol's not taken there."""

    name: str
    type: str
    required: bool
    default: Any  # plain data; None if required, or if nothing is the default
    doc: str
    minimum: int | float | str | None  # in the spelling of the type
    maximum: int | float | str | None
    aliases: tuple[str, ...]
    example: str | None
    options: tuple[Description, ...] = ()
    unsupported: tuple[tuple[str, str], ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, without what is not said."""
        data: dict[str, Any] = {"type": self.type}
        if self.required:
            data["required"] = True
        elif self.default is not None or not self.options:
            data["default"] = self.default
        data |= {"doc": self.doc} if self.doc else {}
        data |= {
            name: value
            for name, value in (
                ("minimum", self.minimum),
                ("maximum", self.maximum),
                ("example", self.example),
            )
            if value is not None
        }
        if self.aliases:
            data["aliases"] = list(self.aliases)
        if self.options:
            data["options"] = {option.name: option.as_data() for option in self.options}
        if self.unsupported:
            data["unsupported"] = dict(self.unsupported)
        return data


def describe(config: type[Any]) -> tuple[Description, ...]:
    """Return the options of a config class, in the order declared."""
    return tuple(_describe(field) for field in schema(config).fields.values())


def unsupported(config: type[Any]) -> tuple[tuple[str, str], ...]:
    """Return otelcol's options that are not taken, each with what it would have changed."""
    return tuple((option.key, option.effect) for option in schema(config).unsupported.values())


def summary(config: type[Any]) -> str:
    """Return the first paragraph of a config class's documentation, on one line."""
    return " ".join(inspect.cleandoc(config.__doc__ or "").partition("\n\n")[0].split())


def _describe(field: Field) -> Description:
    inner = nested(field.type)
    default = None if field.required else field.default_value()
    name = type_name(field.type)
    return Description(
        name=field.name,
        type=f"{name}, off unless named" if inner is not None and is_optional(field.type) else name,
        required=field.required,
        # The defaults of a section are those of its options.
        default=None if inner is not None and (is_config(type(default)) or not default) else encode(default),
        doc=field.option.doc,
        minimum=_bound(field.option.minimum, field.type),
        maximum=_bound(field.option.maximum, field.type),
        aliases=field.option.aliases,
        example=field.option.example,
        options=describe(inner) if inner is not None else (),
        unsupported=unsupported(inner) if inner is not None else (),
    )


def _bound(bound: float | None, type_: Any) -> int | float | str | None:
    """Return a bound in the spelling of the option's type."""
    if bound is None:
        return None
    kinds = members(type_)
    for kind in (Duration, ByteSize):
        if kind in kinds:
            return str(kind(bound))
    return int(bound) if int in kinds and float(bound).is_integer() else bound
