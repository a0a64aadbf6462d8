"""YAML itself: places, and what is wrong with a text before any option is known."""

from __future__ import annotations

import pytest

from collector.config.decode import plain
from collector.config.parse import Text, parse
from collector.config.tree import Map, Scalar
from tests.unit.config.reading import parsed


def tree(text: str) -> object:
    root, problems = parse(Text("a.yaml", text))
    assert problems == []
    assert root is not None
    return plain(root)


def test_parse_keeps_the_place_of_key_and_value() -> None:
    """Lines and columns count from 1; the length is that of what is written."""
    root, _ = parse(Text("a.yaml", "a:\n  bc: 'def'\n"))
    assert isinstance(root, Map)
    inner = root.entries["a"].value
    assert isinstance(inner, Map)
    key, value = inner.entries["bc"].key, inner.entries["bc"].value
    assert (key.file, key.line, key.column, key.length, key.text) == ("a.yaml", 2, 3, 2, "  bc: 'def'")
    assert (value.place.line, value.place.column, value.place.length) == (2, 7, 5)
    assert isinstance(value, Scalar)
    assert value.quoted


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("Off", "Off"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("012", "012"),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("2024-01-01", "2024-01-01"),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("9" * 401, "9" * 401),
    ],
)
def test_a_scalar_without_a_type_follows_yaml_1_2(text: str, value: object) -> None:
    """The traps of YAML 1.1 (booleans, octals, base 60, dates) are texts."""
    assert tree(f"a: {text}") == {"a": value}


def test_aliases_and_merge_keys_work() -> None:
    """What is written beside `<<` wins over what is merged; the first merged wins over the second."""
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], x: 5}\nd: *a"
    expected = {
        "a": {"x": 1, "y": 2},
        "b": {"y": 3, "z": 4},
        "c": {"x": 5, "y": 2, "z": 4},
        "d": {"x": 1, "y": 2},
    }
    assert expected == tree(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", ["3:1 key 'a' is there twice | first in line 1"]),
        ("a: *b\n", ["1:4 alias '*b' is not defined above"]),
        ("a: &b [*b]\n", ["1:8 alias '*b' contains itself"]),
        ("a: 1\n---\nb: 2\n", ["2:1 a second document begins here | one document in a file"]),
        ("a: !!python/name:os.system x\n", ["1:4 tag 'tag:yaml.org,2002:python/name:os.system' is not supported | remove it"]),
        ("? [a]\n: b\n", ["1:3 a key must be a text | write 'key: value'"]),
        ("a:\n\tb: 1\n", ["2:1 a tab cannot indent YAML | use spaces"]),
        ("a: {<<: 1}\n", ["1:9 only mappings can be merged with '<<'"]),
        ("a: [${env:X}]\n", ["1:6 not well-formed YAML: did not find expected ',' or ']' | within [ ] and { } put '${…}' in quotes"]),
        ("a: *\n", ["1:4 not well-formed YAML: did not find expected alphabetic or numeric character | put a text that begins with '*' or '&' in quotes"]),
        ("a: @x\n", ["1:4 not well-formed YAML: found character that cannot start any token | put a text that begins with this character in quotes"]),
        ("a: x\x00y\n", ["1:5 character U+0000 is not allowed in YAML | write it as an escape in double quotes"]),
        ("endpoint:0.0.0.0:4317\nb: 1\n", ["2:2 not well-formed YAML: mapping values are not allowed in this context | is a space missing after ':'?"]),
        ("[" * 101, ["1:101 nested more than 100 deep"]),
    ],
)  # fmt: skip
def test_parse_says_what_is_wrong_and_where(text: str, expected: list[str]) -> None:
    """Each with its place and, where the cause is a usual one, what to do."""
    assert expected == parsed(text)


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    """A text of a few lines can stand for a thousand million nodes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert parsed("\n".join(lines)) == ["5:45 more than 100000 nodes | aliases of aliases?"]
