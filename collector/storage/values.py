"""AnyValue as JSON text and back, without loss.

| AnyValue | JSON |
|---|---|
| string, bool | string, bool |
| int | a number without `.` and exponent |
| double | a number with `.` or exponent, the shortest that reads back equal; NaN and infinities `{"@double":"NaN"}` |
| bytes | `{"@bytes":"<base64>"}` |
| array | array; empty AnyValues in it stay, as null |
| kvlist | object, its keys in the order they came in |
| kvlist of one key that begins with `@` | `{"@kvlist":{...}}`, so that it is not taken for one of the tags above |
| the empty AnyValue | null |

An attribute list is always an object and never tagged. The sorted form, used in dimension tables, has the keys
of every object in the order of their UTF-8 bytes. Keys are unique: the last of equal ones wins, as in jsonb.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring  # C; leaves non-ASCII as it is
from math import inf, isfinite, nan
from operator import attrgetter
from typing import Any, Final

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

quote: Final = encode_basestring
_by_key: Final = attrgetter("key")
_SPECIAL: Final = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}


def double_text(value: float) -> str:
    """JSON of a double."""
    if isfinite(value):
        return repr(value)
    if value != value:
        return '{"@double":"NaN"}'
    return '{"@double":"Infinity"}' if value > 0 else '{"@double":"-Infinity"}'


def value_text(value: AnyValue, *, ordered: bool = False) -> str:
    """JSON of an AnyValue. `ordered`: with sorted keys, for dimension tables."""
    match value.WhichOneof("value"):
        case "string_value":
            return quote(value.string_value)
        case "int_value":
            return str(value.int_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "double_value":
            return double_text(value.double_value)
        case "array_value":
            return f"[{','.join([value_text(v, ordered=ordered) for v in value.array_value.values])}]"
        case "kvlist_value":
            entries = value.kvlist_value.values
            text = attributes_text(entries, ordered=ordered)
            if len(entries) == 1 and entries[0].key.startswith("@"):
                return f'{{"@kvlist":{text}}}'
            return text
        case "bytes_value":
            return f'{{"@bytes":"{b64encode(value.bytes_value).decode()}"}}'
        case _:  # empty; or string_value_strindex, which means nothing outside of profiles
            return "null"


def attributes_text(attributes: Iterable[KeyValue], *, ordered: bool = False) -> str:
    """JSON object of an attribute list; `{}` when there are none. `ordered`: see `value_text`."""
    if ordered:
        attributes = sorted(attributes, key=_by_key)
    parts = []
    for attribute in attributes:
        value = attribute.value
        # The two kinds that nearly all attributes have, without another call.
        match value.WhichOneof("value"):
            case "string_value":
                parts.append(f"{quote(attribute.key)}:{quote(value.string_value)}")
            case "int_value":
                parts.append(f"{quote(attribute.key)}:{value.int_value}")
            case _:
                parts.append(f"{quote(attribute.key)}:{value_text(value, ordered=ordered)}")
    return f"{{{','.join(parts)}}}"


def optional_attributes_text(attributes: Sequence[KeyValue]) -> str | None:
    """JSON object of an attribute list of a fact; None when there are none."""
    return attributes_text(attributes) if attributes else None


def parse_json(text: str) -> Any:
    """Read the JSON of this module: numbers with `.` or exponent become float, others int."""
    return msgspec.json.decode(text)


def fill_value(target: AnyValue, json: Any) -> None:
    """Set `target` to the AnyValue that `json`, as `parse_json` returned it, stands for."""
    kind = type(json)
    if kind is str:
        target.string_value = json
    elif kind is bool:
        target.bool_value = json
    elif kind is int:
        target.int_value = json
    elif kind is float:
        target.double_value = json
    elif kind is list:
        target.array_value.SetInParent()
        for element in json:
            fill_value(target.array_value.values.add(), element)
    elif kind is dict:
        _fill_object(target, json)


def fill_attributes(target: Any, json: dict[str, Any]) -> None:
    """Append the attributes that the object `json` stands for to the repeated field `target`."""
    for key, value in json.items():
        attribute = target.add(key=key)
        attribute.value.SetInParent()
        fill_value(attribute.value, value)


def double_of(json: Any) -> float:
    """The double that `json` stands for."""
    return _SPECIAL[json["@double"]] if type(json) is dict else json


def doubles_text(values: Iterable[float]) -> str:
    """JSON array of doubles."""
    return f"[{','.join([double_text(value) for value in values])}]"


def _fill_object(target: AnyValue, json: dict[str, Any]) -> None:
    if len(json) == 1:
        [(key, value)] = json.items()
        if key == "@bytes":
            target.bytes_value = b64decode(value)
            return
        if key == "@double":
            target.double_value = _SPECIAL[value]
            return
        if key == "@kvlist":
            json = value
    target.kvlist_value.SetInParent()
    fill_attributes(target.kvlist_value.values, json)
