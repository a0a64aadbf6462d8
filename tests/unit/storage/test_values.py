"""The JSON of values, text by text: what people see in the database, and what other writers must produce."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.storage.values import (
    attributes_text,
    fill_value,
    optional_attributes_text,
    parse_json,
    value_text,
)
from tests.support.samples import any_value, attribute


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", '"text"'),
        ("", '""'),
        ('quote " and \\', '"quote \\" and \\\\"'),
        ("tab\tdel\x7f", '"tab\\tdel\x7f"'),
        ("grüße 世界 \U0001f600", '"grüße 世界 \U0001f600"'),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (1e22, "1e+22"),
        (0.1, "0.1"),
        (float("nan"), '{"@double":"NaN"}'),
        (float("inf"), '{"@double":"Infinity"}'),
        (float("-inf"), '{"@double":"-Infinity"}'),
        (b"", '{"@bytes":""}'),
        (b"\x00\xff", '{"@bytes":"AP8="}'),
        ([], "[]"),
        ([1, 1.0, "1", None], '[1,1.0,"1",null]'),
        ({}, "{}"),
        ({"z": 1, "a": {"b": []}}, '{"z":1,"a":{"b":[]}}'),
        ({"@bytes": "AA=="}, '{"@kvlist":{"@bytes":"AA=="}}'),
        ({"@anything": None}, '{"@kvlist":{"@anything":null}}'),
        ({"@bytes": "AA==", "b": 1}, '{"@bytes":"AA==","b":1}'),
        (None, "null"),
    ],
)
def test_value_has_this_text_and_is_read_back(value: Any, text: str) -> None:
    """Each kind of value has one form."""
    assert text == value_text(any_value(value))
    read = AnyValue()
    fill_value(read, parse_json(text))
    assert any_value(value).SerializeToString(deterministic=True) == read.SerializeToString(
        deterministic=True
    )


def test_attribute_lists_are_never_tagged() -> None:
    """They are known to be objects, so that a key which looks like a tag is only a key."""
    assert attributes_text([attribute("@bytes", "x")]) == '{"@bytes":"x"}'


def test_ordered_text_sorts_keys_by_utf8_at_every_level() -> None:
    """U+FFFF comes before U+10000 in UTF-8, though not in UTF-16."""
    attributes = [
        attribute("\U00010000", 1),
        attribute("\uffff", {"b": 1, "a": 2}),
        attribute("B", [{"d": 1, "c": 2}]),
    ]
    assert (
        attributes_text(attributes, ordered=True)
        == '{"B":[{"c":2,"d":1}],"\uffff":{"a":2,"b":1},"\U00010000":1}'
    )
    assert list(parse_json(attributes_text(attributes))) == ["\U00010000", "\uffff", "B"]


def test_no_attributes_are_no_text() -> None:
    """A fact without attributes has NULL; a dimension has an empty object."""
    assert optional_attributes_text([]) is None
    assert attributes_text([]) == "{}"


def test_an_index_into_a_profiles_dictionary_is_the_empty_value() -> None:
    """Outside of profiles there is no dictionary (opentelemetry-proto, common.proto)."""
    assert value_text(AnyValue(string_value_strindex=3)) == "null"
