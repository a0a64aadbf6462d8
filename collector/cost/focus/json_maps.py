"""Flat JSON objects as the text mappings that records have, without losing what was not text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from collector.cost.amount import amount_text
from collector.cost.focus.columns import SKU_PRICE_DETAILS
from collector.cost.focus.json_values import JsonError, parse_object
from collector.cost.focus.numbers import parse


@lru_cache(maxsize=16384)
def read_map(text: str, *, sku: bool = False) -> tuple[Mapping[str, str], bool]:
    """The mapping, and whether `write_map` of it says the same as `text`.

    It does not if a value is a number, true, false or null where our writers put a string: the original has to be
    kept beside it.

    Raises:
        JsonError: `text` is not a flat JSON object.
    """
    value = parse_object(text)
    mapping = {key: _text(key, item) for key, item in value.items()}
    return mapping, parse_object(write_map(mapping, sku=sku)) == value


def write_map(mapping: Mapping[str, str], *, sku: bool = False) -> str:
    """A flat JSON object, its keys in order. `sku`: with FOCUS' numeric SKU properties as numbers."""
    parts = []
    for key, text in sorted(mapping.items()):
        number = sku and SKU_PRICE_DETAILS.get(key, False) and _is_canonical(text)
        parts.append(f"{quoted(key)}:{text if number else quoted(text)}")
    return "{" + ",".join(parts) + "}"


@lru_cache(maxsize=4096)
def quoted(text: str) -> str:
    """A JSON string."""
    return json.dumps(text, ensure_ascii=False)


def _text(key: str, item: Any) -> str:
    match item:
        case str():
            return item
        case bool():
            return "true" if item else "false"
        case Decimal():
            return amount_text(item)
        case None:
            return "null"
        case _:
            raise JsonError(
                f"the value of {key!r} is not a number, a string, true, false or null", "json-flat"
            )


def _is_canonical(text: str) -> bool:
    number = parse(text)
    return number is not None and amount_text(number) == text
