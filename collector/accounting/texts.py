"""Attributes as the engine has them: texts."""

from __future__ import annotations

from collections.abc import Mapping

from collector.query.attributes import Attributes, label_text


def texts(attributes: Attributes) -> dict[str, str]:
    """Return attributes with values as people read them; those that say nothing are left out."""
    return {key: text for key, value in attributes.items() if (text := text_of(value))}


def text_of(value: object) -> str:
    """Return one value as people read it."""
    return value if isinstance(value, str) else label_text(value)


def merged(resource: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """Return the attributes of a span and its resource; where both have one, the span's."""
    return {**resource, **own} if own else dict(resource)
