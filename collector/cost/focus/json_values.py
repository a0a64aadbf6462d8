"""JSON columns (FOCUS attributes "KeyValueFormat" and "JsonObjectFormat"): read without floats, and judged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NoReturn

from collector.cost.focus.columns import SKU_PRICE_DETAILS, Column, DataType

_CUSTOM_KEY: Final = re.compile(r"x_[A-Z][A-Za-z0-9]*", re.ASCII)

# Columns with `Elements`: the keys of an element, with whether they must be there and whether they are numbers.
ALLOCATED_ELEMENT: Final = {
    "AllocatedRatio": (True, True),
    "UsageUnit": (False, False),
    "UsageQuantity": (False, True),
}
CONTRACT_ELEMENT: Final = {
    "ContractId": (True, False),
    "ContractCommitmentId": (True, False),
    "ContractCommitmentAppliedCost": (False, True),
    "ContractCommitmentAppliedQuantity": (False, True),
    "ContractCommitmentAppliedUnit": (False, False),
}


class JsonError(ValueError):
    """The text is not JSON as FOCUS wants it. `rule` as in a finding."""

    def __init__(self, message: str, rule: str = "json") -> None:
        super().__init__(message)
        self.rule = rule


def parse_object(text: str) -> dict[str, Any]:
    """Read a JSON object; its numbers are decimals.

    Raises:
        JsonError: it is not JSON (ECMA-404), not an object, or has a key twice.
    """
    try:
        value = _DECODER.decode(text)
    except JsonError:
        raise
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise JsonError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise JsonError("not a JSON object", "json-object")
    return value


def problems_of(column: Column, text: str) -> tuple[tuple[str, str], ...]:
    """What is wrong with a JSON value of a column: (rule, message) each; empty if nothing is."""
    return _problems(column.name, column.type is DataType.KEY_VALUE, text)


# Tags repeat from row to row; most of a file's JSON is a few hundred values.
@lru_cache(maxsize=8192)
def _problems(name: str, flat: bool, text: str) -> tuple[tuple[str, str], ...]:
    try:
        value = parse_object(text)
    except JsonError as error:
        return ((error.rule, str(error)),)
    if flat:
        nested = [key for key, item in value.items() if isinstance(item, dict | list)]
        found = [
            ("json-flat", f"the value of {key!r} is not a number, a string, true, false or null")
            for key in nested
        ]
        if name == "SkuPriceDetails":
            found.extend(_sku_price_details(value))
        return tuple(found)
    if name == "AllocatedMethodDetails":
        return tuple(_elements(value, ALLOCATED_ELEMENT, _allocated))
    if name == "ContractApplied":
        return tuple(_elements(value, CONTRACT_ELEMENT, _contract))
    return ()


def _sku_price_details(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        if key not in SKU_PRICE_DETAILS:
            if not key.startswith("x_"):
                yield "json-key", f"{key!r} is not a property that FOCUS defines, and does not begin with x_"
        elif item is not None and SKU_PRICE_DETAILS[key] != isinstance(item, Decimal):
            yield "json-type", f"{key} is a {'number' if SKU_PRICE_DETAILS[key] else 'string'} in FOCUS"


def _elements(
    value: dict[str, Any], keys: dict[str, tuple[bool, bool]], also: Any
) -> Iterator[tuple[str, str]]:
    yield from _custom_keys(value, {"Elements"})
    elements = value.get("Elements")
    if not isinstance(elements, list) or not elements:
        yield "json-elements", "'Elements' is not an array with at least one object"
        return
    for element in elements:
        if not isinstance(element, dict):
            yield "json-elements", "an element is not an object"
            return
        yield from _custom_keys(element, keys)
        for key, (required, number) in keys.items():
            item = element.get(key)
            if item is None:
                if required:
                    yield "json-elements", f"an element has no {key}"
            elif isinstance(item, Decimal) != number or not isinstance(item, Decimal | str):
                yield "json-type", f"{key} is a {'number' if number else 'string'} in FOCUS"
                return
        yield from also(element)


def _custom_keys(value: dict[str, Any], known: Any) -> Iterator[tuple[str, str]]:
    for key in value:
        if key not in known and not _CUSTOM_KEY.fullmatch(key):
            yield "json-key", f"{key!r} is not FOCUS' and not of the form x_PascalCase"


def _allocated(element: dict[str, Any]) -> Iterator[tuple[str, str]]:
    ratio = element.get("AllocatedRatio")
    if isinstance(ratio, Decimal) and not 0 <= ratio <= 1:
        yield "allocated-ratio-range", f"AllocatedRatio {ratio} is not between 0 and 1"
    if element.get("UsageQuantity") is not None and element.get("UsageUnit") is None:
        yield "json-elements", "UsageQuantity without UsageUnit"


def _contract(element: dict[str, Any]) -> Iterator[tuple[str, str]]:
    cost = element.get("ContractCommitmentAppliedCost") is not None
    quantity = element.get("ContractCommitmentAppliedQuantity") is not None
    unit = element.get("ContractCommitmentAppliedUnit") is not None
    if cost == quantity or quantity != unit:
        yield "json-elements", "an element has either an applied cost, or an applied quantity with its unit"


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise JsonError("a key is there twice", "json-duplicate-key")
    return value


def _constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=Decimal, parse_int=Decimal, parse_constant=_constant
)
