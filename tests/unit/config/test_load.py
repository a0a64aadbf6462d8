"""Several sources as one, and `--set` over all."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config.decode import plain
from collector.config.load import Source, load
from collector.config.sources import Surroundings
from tests.unit.config.reading import messages

NOTHING = Surroundings({})


def merged(*texts: str, sets: tuple[str, ...] = ()) -> object:
    source = load([f"yaml:{text}" for text in texts], sets, NOTHING)
    assert source.problems == ()
    assert source.root is not None
    return plain(source.root)


def failure(source: Source) -> list[str]:
    return messages(source.problems)


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ("{a: {x: 1, y: 2}}", "{a: {y: 3, z: 4}}", {"a": {"x": 1, "y": 3, "z": 4}}),
        ("{a: [1, 2]}", "{a: [3]}", {"a": [3]}),
        ("{a: {x: 1}}", "{a: }", {"a": None}),
        ("{a: }", "{a: {x: 1}}", {"a": {"x": 1}}),
        ("{a: {x: 1}}", "{a: 2}", {"a": 2}),
        ("{a: 1}", "{b: 2}", {"a": 1, "b": 2}),
    ],
)
def test_a_later_source_is_laid_over_an_earlier_one(below: str, above: str, expected: object) -> None:
    """Mappings key by key; lists and values are replaced; an empty value takes away."""
    assert expected == merged(below, above)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("a.x=5", {"a": {"x": 5, "y": 2}}),
        ("a.z=text", {"a": {"x": 1, "y": 2, "z": "text"}}),
        ("a::b.c=1", {"a": {"x": 1, "y": 2, "b.c": 1}}),
        ("b.c.d=[1, two]", {"a": {"x": 1, "y": 2}, "b": {"c": {"d": [1, "two"]}}}),
        ("a={y: 3}", {"a": {"x": 1, "y": 3}}),
        ("a.x=", {"a": {"x": None, "y": 2}}),
        ("a.x=k=v", {"a": {"x": "k=v", "y": 2}}),
    ],
)
def test_set_changes_one_option(assignment: str, expected: object) -> None:
    """Its value is YAML; '::' separates keys that have dots in them."""
    assert expected == merged("{a: {x: 1, y: 2}}", sets=(assignment,))


def test_the_last_set_wins() -> None:
    """As with files."""
    assert merged("{}", sets=("a.b=1", "a.b=2")) == {"a": {"b": 2}}


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("a", "1:1 'a' does not set an option | write it like exporters.sqlite.path=data.db"),
        ("=1", "1:1 '=1' does not set an option | write it like exporters.sqlite.path=data.db"),
        ("a..b=1", "1:1 'a..b=1' does not set an option | write it like exporters.sqlite.path=data.db"),
        ("a.b.c=1", "1:5 'a.b' is not a mapping: --set cannot reach into it"),
        ("a.x=[1", "1:6 not well-formed YAML: did not find expected ',' or ']'"),
        (
            "a.x=${env:NONE}",
            "1:5 environment variable NONE is not set | set it, or write ${env:NONE:-default}",
        ),
    ],
)
def test_set_says_what_is_wrong_with_it(assignment: str, expected: str) -> None:
    """In the place of a file it names itself; the line is the number of the option."""
    source = load(["yaml:a: {b: [1]}"], [assignment], NOTHING)
    assert [expected] == failure(source)
    assert source.problems[0].place is not None
    assert str(source.problems[0].place).startswith("--set:1:")


def test_a_part_that_is_taken_away_needs_no_environment() -> None:
    """Substitution comes after merging."""
    assert merged("{a: {x: '${env:NONE}'}}", "{a: {x: 1}}") == {"a": {"x": 1}}


def test_configurations_come_from_files_variables_and_arguments(tmp_path: Path) -> None:
    """With or without `file:`, `env:NAME`, `yaml:text`."""
    (tmp_path / "a.yaml").write_text("a: 1")
    (tmp_path / "b.yaml").write_text("b: 2")
    locations = [f"{tmp_path}/a.yaml", f"file:{tmp_path}/b.yaml", "env:CONFIG", "yaml:d: 4"]
    source = load(locations, (), Surroundings({"CONFIG": "c: 3"}))
    assert source.root is not None
    assert plain(source.root) == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert source.names == (f"{tmp_path}/a.yaml", f"{tmp_path}/b.yaml", "env:CONFIG", "--config")


def test_every_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """All of them in one run."""
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    (tmp_path / "text.yaml").write_text("receivers:otlp\n")
    (tmp_path / "list.yaml").write_text("- a\n")
    names = ["none.yaml", "", "empty.yaml", "text.yaml", "list.yaml"]
    source = load([*(f"{tmp_path}/{name}" for name in names), "env:NONE", "https://x/y"], (), NOTHING)
    expected = [
        f"cannot read the configuration: {tmp_path}/none.yaml: No such file or directory",
        f"cannot read the configuration: {tmp_path}/: Is a directory",
        "cannot read the configuration: environment variable NONE is not set",
        "cannot read the configuration: https://x/y: configuration over the network is not supported; give a file",
        f"{tmp_path}/empty.yaml is empty | it needs at least a service:",
        "1:1 a configuration is a mapping of sections | is a space missing after ':'?",
        "1:1 a configuration is a mapping of sections",
    ]
    assert expected == failure(source)
    assert source.root is None


def test_without_a_source_there_is_the_default() -> None:
    """Which says so in its name."""
    source = load((), (), Surroundings({"HOME": "/h"}))
    assert source.problems == ()
    assert source.names == ("default.yaml (built in)",)
