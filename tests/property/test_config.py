"""What holds for every configuration, every environment and every text."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.config.decode import InvalidValue, decode, plain
from collector.config.diagnostics import ConfigError, Place
from collector.config.encode import encode, to_yaml
from collector.config.load import Source, load
from collector.config.sources import Surroundings
from collector.config.substitution import escape
from collector.config.tree import List, Map, Node
from collector.config.types import ByteSize, ConnectionString, Duration, Secret
from collector.service.config import Config, as_data, load_config
from tests.unit.config.factories import (
    FACTORIES,
    ActionConfig,
    BatchConfig,
    Color,
    EditConfig,
    OtlpConfig,
    ProtocolsConfig,
    ServerConfig,
    StoreConfig,
)

NOTHING = Surroundings({})
PLACE = Place("test", 1, 1, 1, "")

texts = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    [
        "null",
        "~",
        "yes",
        "on",
        "0123",
        "1e10",
        "0x10",
        "1:30",
        "=",
        "<<",
        "${env:X}",
        "$$",
        "- a",
        "a: b",
        "",
        "*a",
    ]
)
names = texts.filter(lambda text: text != "<<")
durations = st.builds(Duration, st.floats(0, 1e12)) | st.builds(Duration, st.integers(0, 10**6))
sizes = st.builds(ByteSize, st.integers(1024, 2**60))
servers = st.builds(ServerConfig, endpoint=texts, size_max=sizes)
scalars = texts | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    st.none() | scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
configs: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        StoreConfig,
        connection_string=st.builds(ConnectionString, texts),
        password=st.none() | st.builds(Secret, texts),
        path=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).map(Path),
        enabled=st.booleans(),
        color=st.sampled_from(Color),
        retention=st.dictionaries(st.sampled_from(["traces", "metrics"]), durations),
        labels=st.dictionaries(texts, texts, max_size=4),
        names=st.lists(texts, max_size=4).map(tuple),
        limit=st.none() | st.integers(1),
        extra=anything,
        word=st.sampled_from(["A", "B"]),
    ),
    st.builds(
        BatchConfig,
        size=st.integers(1, 100_000),
        size_max=st.just(0) | st.integers(100_000),
        timeout=durations.filter(lambda value: value >= 0.001),
        ratio=st.floats(0, 1),
    ),
    st.builds(
        EditConfig,
        attributes=st.lists(
            st.builds(ActionConfig, key=texts, action=st.sampled_from(["insert", "delete"]), value=scalars),
            max_size=3,
        ).map(tuple),
    ),
    st.builds(OtlpConfig, protocols=st.builds(ProtocolsConfig, grpc=servers, http=st.none())),
)


@given(configs)
def test_what_is_printed_unredacted_is_loaded_as_an_equal_config(config: Any) -> None:
    """Print, parse, substitute, decode: nothing is lost and nothing is read as another type."""
    printed = to_yaml(encode(config, reveal=True))
    source = load([f"yaml:\n{printed}"], (), NOTHING)
    problems = list(source.problems)
    again = decode(source.root, type(config), path="x", place=PLACE, problems=problems)
    assert problems == []
    assert again == config


@given(st.builds(Duration, st.floats(0, 1e15)))
def test_every_duration_is_read_as_it_is_printed(duration: Duration) -> None:
    """No float is lost to its unit."""
    assert Duration.parse(str(duration)) == duration


@given(st.builds(ByteSize, st.integers(0, 2**70)))
def test_every_size_is_read_as_it_is_printed(size: ByteSize) -> None:
    """No byte is lost to its unit."""
    assert ByteSize.parse(str(size)) == size


def shape(node: Node | None) -> Any:
    """Return the structure of a tree: keys and lengths, without the scalars."""
    match node:
        case Map():
            return {key: shape(entry.value) for key, entry in node.entries.items()}
        case List():
            return [shape(item) for item in node.items]
        case _:
            return None


SPLICED = """yaml:
a: ${env:VALUE}
b: "${env:VALUE}"
c: [1, '${env:VALUE}', "x${env:VALUE}y"]
d: {e: "${VALUE}", f: "${env:UNSET:-${env:VALUE}}"}
"""


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
@example("]\nb: [evil")
@example("x: {y: z}")
@example("${env:OTHER}")
@example("&a *a")
def test_no_value_of_the_environment_changes_the_structure(value: str) -> None:
    """Whatever a variable holds, it is one scalar, and a text option gets exactly its text."""
    plain_source = load([SPLICED], (), Surroundings({"VALUE": "plain"}))
    source = load([SPLICED], (), Surroundings({"VALUE": value}))
    assert source.problems == ()
    assert shape(source.root) == shape(plain_source.root)
    assert source.root is not None
    config = decode(
        Map({"endpoint": source.root.entries["a"]}, PLACE), ServerConfig, path="x", place=PLACE, problems=[]
    )
    assert isinstance(config, ServerConfig)
    assert config.endpoint == value


@given(texts)
@example("a\x85b")
@example("\u2028")
@example(" a\n b ")
def test_an_escaped_text_is_substituted_by_itself(text: str) -> None:
    """`escape` is the inverse of substitution."""
    source = load([f"yaml:\n{to_yaml({'a': escape(text)})}"], (), NOTHING)
    assert source.problems == ()
    assert source.root is not None
    assert plain(source.root) == {"a": text}


def attempt(source: Source) -> Config | ConfigError:
    """Return the configuration, or why there is none."""
    try:
        return load_config(source, FACTORIES)
    except ConfigError as error:
        return error


fragments = st.lists(
    st.sampled_from(
        [
            "receivers:", "exporters:", "service:", "pipelines:", "traces:", "otlp:", "debug:", "store:", "batch:",
            "size:", "protocols:", "grpc:", "endpoint:", "attributes:", "\n", "\n  ", "\n    ", "\n      ", " ", "\t",
            "- ", "[", "]", "{", "}", ",", ":", "&a ", "*a", "<<: *a", "!!int ", "!x ", "'", '"', "|\n", ">\n", "#",
            "---\n", "...\n", "? ", "null", "1", "0x1", "1e999", "9" * 5000, "-1", "true", "yes", "${env:A}", "${", "$$",
            "${file:/nowhere}", "\x00", "\ufeff", "\x85", "\u2028", "%YAML 1.2\n", "@", "`", "🙂", "otlp", "debug", "5s",
        ]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@given(fragments | st.text(max_size=60))
@settings(max_examples=300)
@example("&a [*a]")
@example("[" * 5000)
@example("{a: " * 5000)
@example("- " * 5000)
@example("? " * 5000)
@example("a." * 5000 + "a=1")
@example("a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n" * 3)
def test_any_text_is_a_configuration_or_a_config_error_that_can_be_shown(text: str) -> None:
    """Nothing else is ever raised, and every problem can be rendered."""
    surroundings = Surroundings({"A": "a: b", "FILE": text})
    for locations, sets in ((["env:FILE"], []), (["yaml:service:"], [f"exporters.store={text}", text])):
        outcome = attempt(load(locations, sets, surroundings))
        if isinstance(outcome, ConfigError):
            assert any(problem.severity == "error" for problem in outcome.problems)
            assert outcome.render(color=True).endswith("(exit 78)")
            assert json.dumps([problem.as_data() for problem in outcome.problems])
        else:
            assert to_yaml(as_data(outcome))


@given(
    st.text(st.characters(codec="utf-8", exclude_characters=":/@?"), max_size=8),
    st.text(st.characters(codec="utf-8"), min_size=3, max_size=12),
    st.sampled_from(["postgresql://{user}:{password}@host:5432/db?sslmode=require"]),
)
def test_no_password_of_a_url_is_printed(user: str, password: str, url: str) -> None:
    """However it is written, encoded or not."""
    secret = f"\u2603{password}\u2603"
    for text in (str, repr):
        assert "\u2603" not in text(
            ConnectionString(url.format(user=user.replace("\u2603", ""), password=secret))
        )


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers())
def test_a_number_is_within_its_bounds_or_refused(number: float, integer: int) -> None:
    """No NaN, infinity or overflow slips through a minimum and a maximum."""
    written = "nan" if math.isnan(number) else repr(number)
    for value in (written, f".{written}", str(integer)):
        source = load([f"yaml:\nratio: {value}"], (), NOTHING)
        config = decode(source.root, BatchConfig, path="x", place=PLACE, problems=[])
        assert isinstance(config, InvalidValue) or 0 <= config.ratio <= 1
