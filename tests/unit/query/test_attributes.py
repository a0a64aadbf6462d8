"""Labels: what matches, and that the text the database looks for is there whenever something matches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from collector.query.attributes import Label, carries, fragments, label_text, parse, parse_attributes
from collector.storage.values import attributes_text
from tests.support.otlp_builder import attributes

SCALARS = st.one_of(
    st.text(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.sampled_from(["1", "1.0", "true", "-0"]),
)


@pytest.mark.parametrize(
    ("value", "wanted", "matches"),
    [
        ("a", "a", True),
        ("a", "A", False),
        (500, "500", True),
        (500, 500, True),
        (500, 500.0, True),
        ("500", 500, False),
        (2.0, 2, True),
        (2.0, "2.0", True),
        (True, "true", True),
        (True, True, True),
        (True, 1, False),
        (1, True, False),
        (b"a", "a", False),
        (None, "", False),
        (["a"], "a", False),
        ({"a": "b"}, "b", False),
    ],
)
def test_a_label_matches_by_value_and_text_by_what_is_written(
    value: Any, wanted: Label, matches: bool
) -> None:
    """Numbers compare as numbers; text also matches the numbers and booleans written that way."""
    assert matches is carries({"k": wanted}, [{"k": value}])


def test_a_label_may_be_found_in_any_place_but_all_must_be_found() -> None:
    """One on the point and one on the resource is a match; one missing is not."""
    places: list[dict[str, Any]] = [{"a": "1"}, {"b": "2"}]
    assert carries({"a": "1", "b": "2"}, places)
    assert not carries({"a": "1", "c": "3"}, places)


@given(key=st.text(), value=SCALARS, wanted=SCALARS, others=st.dictionaries(st.text(), SCALARS, max_size=3))
def test_whatever_matches_contains_one_of_the_fragments(
    key: str, value: Label, wanted: Label, others: dict[str, Label]
) -> None:
    """The database may skip rows without the fragments: none of them matches."""
    for text in (wanted, value, label_text(value)):
        stored = {**others, key: value}
        assume(carries({key: text}, [parse_attributes(attributes_text(attributes(stored)))]))
        assert any(fragment in attributes_text(attributes(stored)) for fragment in fragments(key, text))


def test_tags_of_stored_json_become_what_they_stand_for() -> None:
    """Bytes, and doubles that JSON cannot say, at any depth; a tagged map is a map."""
    text = '{"b":{"@bytes":"aGk="},"n":[{"@double":"-Infinity"}],"m":{"@kvlist":{"@x":1}},"e":null}'
    expected = {"b": b"hi", "n": [float("-inf")], "m": {"@x": 1}, "e": None}
    assert expected == parse(text) == dict(parse_attributes(text))


def test_an_attribute_list_is_never_taken_for_a_tag() -> None:
    """An attribute may be called @bytes."""
    assert dict(parse_attributes('{"@bytes":"aGk="}')) == {"@bytes": "aGk="}
