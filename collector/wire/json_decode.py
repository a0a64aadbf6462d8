"""OTLP/JSON to protobuf (opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding").

Not protobuf's own JSON mapping: ids are hexadecimal, enum values are integers. Driven by the descriptors, so a
new field needs nothing here. What is accepted beyond the specification, because senders do it, is counted:
keys in snake_case (lowerCamelCase wins where both occur) and names of enum values.
"""

from __future__ import annotations

import binascii
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from collector.wire.errors import FieldViolation, MalformedError
from collector.wire.repair import MESSAGE_DEPTH_MAX
from collector.wire.rules import Normalisation

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
    from google.protobuf.message import Message

    from collector.model.signal import Signal

_Changes = Counter[str]
_Convert = Callable[[Any, _Changes], Any]

_BOM: Final = b"\xef\xbb\xbf"
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,63})(\.[0-9]{1,64})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
# An escape sequence: a surrogate pair, a surrogate alone, or anything else (so that `\\ud800` is not one).
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
# In place of an id that is not hexadecimal: no id has this length, so the rules for ids take it from here.
_NO_ID: Final = b"\xff"
_EXACT_FLOAT_MAX: Final = 2**53
_KEY_SHOWN: Final = 60  # characters of a key that somebody chose


def decode_json(signal: Signal, body: bytes) -> tuple[Message, Counter[str]]:
    """Decode the body of an OTLP/JSON Export request; also return what had to be tolerated, how often.

    `null` is a field's default; unknown keys are ignored; of a key that occurs twice in an object the last
    counts. What is nested deeper than protobuf can hold is left out (`Normalisation.TOO_DEEP`).

    Raises:
        MalformedError: not JSON, not an object, or a field has a value of the wrong type.
    """
    changes: Counter[str] = Counter()
    request = signal.request_type()
    try:
        return _filled(request, _parsed(body, float, changes), changes), changes
    except _InexactError:
        # A whole number such as 1.7e18 came as a float and may have lost digits: read all of them as decimals.
        changes.clear()
        return _filled(request, _parsed(body, Decimal, changes), changes), changes


def _filled(request: type[Message], document: Any, changes: _Changes) -> Message:
    message = request()
    descriptor: Any = message.DESCRIPTOR
    if not isinstance(document, dict):
        raise MalformedError(f"the body is JSON but {_kind(document)}, not an object")
    fields = _fields(descriptor)
    if document and not any(key in fields for key in document):
        changes[Normalisation.NOTHING_KNOWN] += 1
    try:
        _fill(message, document, fields, 0, changes)
    except _WrongValueError as error:
        path = "".join(reversed(error.path)).lstrip(".")
        raise MalformedError(
            f"{path} {error.problem}", field_violations=[FieldViolation(path, error.problem)]
        ) from None
    return message


# --- text ---------------------------------------------------------------------------------------------------


def _parsed(body: bytes, number: type, changes: _Changes) -> Any:
    decoder = msgspec.json.Decoder() if number is float else msgspec.json.Decoder(float_hook=number)
    body = body.removeprefix(_BOM)
    try:
        try:
            return decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            repaired = _repaired(body, changes)
            if repaired is None:
                raise
            return decoder.decode(repaired)
    except RecursionError:
        raise MalformedError("the body is JSON that is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        hint = (
            ""
            if body.lstrip()[:1] in {b"{", b"["}
            else "; it does not look like JSON: is Content-Type right?"
        )
        raise MalformedError(f"the body is not valid JSON: {error}{hint}") from None


def _repaired(body: bytes, changes: _Changes) -> bytes | None:
    """`body` with U+FFFD for what is not UTF-8 and for lone surrogates; None if there is no such thing in it."""
    try:
        body.decode()
        repaired = body
    except UnicodeDecodeError:
        repaired = body.decode(errors="replace").encode()
        replacement = "\N{REPLACEMENT CHARACTER}".encode()
        changes[Normalisation.INVALID_UTF8] += repaired.count(replacement) - body.count(replacement)

    def replace(escape: re.Match[bytes]) -> bytes:
        if escape[1] is None:
            return escape[0]
        changes[Normalisation.INVALID_UTF8] += 1
        return rb"\ufffd"

    repaired = _ESCAPE.sub(replace, repaired)
    return repaired if repaired != body else None


# --- values -------------------------------------------------------------------------------------------------


class _WrongValueError(Exception):
    """A value does not fit its field; `path` grows outwards while it is raised through."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str] = []


class _InexactError(Exception):
    """A float stands where a large integer is meant."""


def _kind(value: Any) -> str:
    for types, name in _KINDS:
        if isinstance(value, types):
            return f"is {name}"
    return "is null"


_KINDS: Final[tuple[tuple[Any, str], ...]] = (
    (bool, "a boolean"),
    ((int, float, Decimal), "a number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def _integer(low: int, high: int) -> _Convert:
    """Integers as numbers or decimal strings, in any notation that has no fraction left."""

    def convert(value: Any, _changes: _Changes) -> int:
        if type(value) is str and len(value) <= 20 and value.isdecimal() and value.isascii():
            value = int(value)
        elif type(value) is not int:
            value = _whole_number(value)
        if not low <= value <= high:
            raise _WrongValueError(f"is not within {low} … {high}")
        return int(value)

    return convert


def _whole_number(value: Any) -> int:
    if isinstance(value, float):
        if abs(value) > _EXACT_FLOAT_MAX:
            raise _InexactError
        number = Decimal(value)
    elif isinstance(value, Decimal):
        number = value
    elif isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise _WrongValueError("is a string that is not an integer")
        number = Decimal(value)
    else:
        raise _WrongValueError(f"{_kind(value)}, not an integer")
    # No 64-bit integer has more digits; a larger exponent would be a bomb.
    if number.adjusted() > 20 or number != number.to_integral_value():
        raise _WrongValueError("is not an integer of 64 bits")
    return int(number)


_SPECIAL_DOUBLES: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _double(value: Any, _changes: _Changes) -> float:
    if isinstance(value, str):
        if value in _SPECIAL_DOUBLES:
            return _SPECIAL_DOUBLES[value]
        if not _NUMBER.fullmatch(value):
            raise _WrongValueError("is a string that is not a number")
    elif isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _WrongValueError(f"{_kind(value)}, not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise _WrongValueError("is too large for a double")
    return number


def _boolean(value: Any, _changes: _Changes) -> bool:
    if not isinstance(value, bool):
        raise _WrongValueError(f"{_kind(value)}, not a boolean")
    return value


def _string(value: Any, _changes: _Changes) -> str:
    if not isinstance(value, str):
        raise _WrongValueError(f"{_kind(value)}, not a string")
    return value


def _base64(value: Any, changes: _Changes) -> bytes:
    """Standard and URL-safe alphabet, with or without padding."""
    text = _string(value, changes).translate(_FROM_URL_SAFE).rstrip("=")
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        raise _WrongValueError("is a string that is not base64") from None


_FROM_URL_SAFE: Final = str.maketrans("-_", "+/")


def _hexadecimal(value: Any, changes: _Changes) -> bytes:
    """Ids. One that cannot be read concerns its item, not the request."""
    text = _string(value, changes)
    try:
        return binascii.unhexlify(text)
    except ValueError:
        return _NO_ID


def _enum(enum: EnumDescriptor) -> _Convert:
    numbers = {value.name: value.number for value in enum.values}
    integer = _integer(-(2**31), 2**31 - 1)

    def convert(value: Any, changes: _Changes) -> int:
        if isinstance(value, str) and value in numbers:
            changes[Normalisation.JSON_ENUM_NAME] += 1
            return numbers[value]
        number: int = integer(value, changes)
        return number

    return convert


# --- messages -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    key: str  # as it should be spelt
    is_repeated: bool
    is_map: bool
    message: Descriptor | None
    convert: _Convert


@cache
def _fields(descriptor: Descriptor) -> dict[str, _Field]:
    """The fields of a message by key, in both spellings."""
    fields = {}
    for descriptor_field in descriptor.fields:
        field = _Field(
            name=descriptor_field.name,
            key=descriptor_field.json_name,
            is_repeated=descriptor_field.is_repeated,
            is_map=_is_map(descriptor_field),
            message=descriptor_field.message_type,
            convert=_converter(descriptor_field),
        )
        fields[field.name] = field
        fields[field.key] = field
    return fields


def _converter(field: FieldDescriptor) -> _Convert:
    if field.enum_type is not None:
        return _enum(field.enum_type)
    match field.type:
        case field.TYPE_STRING:
            return _string
        case field.TYPE_BYTES:
            return _hexadecimal if field.name.endswith("_id") else _base64
        case field.TYPE_BOOL:
            return _boolean
        case field.TYPE_DOUBLE | field.TYPE_FLOAT:
            return _double
        case field.TYPE_UINT64 | field.TYPE_FIXED64:
            return _integer(0, 2**64 - 1)
        case field.TYPE_UINT32 | field.TYPE_FIXED32:
            return _integer(0, 2**32 - 1)
        case field.TYPE_INT32 | field.TYPE_SINT32 | field.TYPE_SFIXED32:
            return _integer(-(2**31), 2**31 - 1)
        case _:
            return _integer(-(2**63), 2**63 - 1)


def _fill(message: Any, document: Any, fields: dict[str, _Field], depth: int, changes: _Changes) -> None:
    """Set the fields of `message`, which is nested `depth` deep. Recursion ends at `MESSAGE_DEPTH_MAX`."""
    if not isinstance(document, dict):
        raise _WrongValueError(f"{_kind(document)}, not an object")
    for key, value in document.items():
        field = fields.get(key)
        if field is None:
            continue
        if key != field.key:
            changes[Normalisation.JSON_SNAKE_CASE] += 1
            if field.key in document:
                continue
        if value is None:
            continue
        try:
            if field.is_map:
                _fill_map(getattr(message, field.name), value)
            elif field.is_repeated:
                _fill_repeated(message, value, field, depth, changes)
            elif field.message is None:
                setattr(message, field.name, field.convert(value, changes))
            elif depth == MESSAGE_DEPTH_MAX:
                changes[Normalisation.TOO_DEEP] += 1
            else:
                part = getattr(message, field.name)
                part.SetInParent()
                _fill(part, value, _fields(field.message), depth + 1, changes)
        except _WrongValueError as error:
            error.path.append(f".{field.key}")
            raise


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _fill_map(target: Any, document: Any) -> None:
    """Texts by text (map<string, string>); no message has any other map."""
    if not isinstance(document, dict):
        raise _WrongValueError(f"{_kind(document)}, not an object")
    for key, value in document.items():
        if not isinstance(value, str):
            error = _WrongValueError(f"{_kind(value)}, not a string")
            error.path.append(f".{key[:_KEY_SHOWN]}")
            raise error
        target[key] = value


def _fill_repeated(message: Any, elements: Any, field: _Field, depth: int, changes: _Changes) -> None:
    if not isinstance(elements, list):
        raise _WrongValueError(f"{_kind(elements)}, not an array")
    target = getattr(message, field.name)
    if field.message is not None and depth == MESSAGE_DEPTH_MAX:
        changes[Normalisation.TOO_DEEP] += bool(elements)
        return
    for index, element in enumerate(elements):
        try:
            if field.message is None:
                target.append(field.convert(element, changes))
            else:
                _fill(
                    target.add(),
                    {} if element is None else element,
                    _fields(field.message),
                    depth + 1,
                    changes,
                )
        except _WrongValueError as error:
            error.path.append(f"[{index}]")
            raise
