"""Typed configs -> plain data and YAML, as a person would write them. The way back of `config.decode`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import yaml

from collector.config.schema import is_config, members, schema, spell
from collector.config.substitution import escape
from collector.config.tree import infer_text
from collector.config.types import ByteSize, Duration, Secret


def encode(value: Any, *, reveal: bool = False) -> Any:
    """Return a config as dicts, lists and scalars, defaults filled in.

    Args:
        value: A config, or any value of one.
        reveal: Whether secrets are shown. What is printed so can be loaded again and gives an equal config.
    """
    if isinstance(value, Secret):
        return escape(value.reveal()) if reveal else str(value)
    if is_config(type(value)):
        return {
            field.name: encode(getattr(value, field.name), reveal=reveal)
            for field in schema(type(value)).fields.values()
            # A section that is off is left out: a key without a body would switch it on.
            if not (getattr(value, field.name) is None and _is_section(field.type))
        }
    if isinstance(value, Mapping):
        # `${…}` in a key means nothing, so there is nothing to escape.
        return {
            spell(key.value if isinstance(key, enum.Enum) else key): encode(inner, reveal=reveal)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [encode(inner, reveal=reveal) for inner in value]
    if isinstance(value, enum.Enum):
        return encode(value.value, reveal=reveal)
    if isinstance(value, Duration | ByteSize):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return escape(str(value))


def to_yaml(data: Any) -> str:
    """Return plain data as YAML, in its own order."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**16)


def _is_section(type_: Any) -> bool:
    return any(is_config(member) for member in members(type_))


class _Dumper(yaml.SafeDumper):
    """Puts in quotes what YAML 1.1 or 1.2 would not take for a text."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # Single quotes would fold line breaks; among those that PyYAML does not see is U+0085.
    plain = isinstance(infer_text(text), str) and text.isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _text)
