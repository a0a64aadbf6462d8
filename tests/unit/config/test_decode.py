"""Options: every type, every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config.decode import InvalidValue
from collector.config.types import ConnectionString, Duration, Secret
from tests.unit.config.factories import (
    ActionConfig,
    BatchConfig,
    Color,
    EditConfig,
    LimiterConfig,
    OtlpConfig,
    ProtocolsConfig,
    ServerConfig,
    StoreConfig,
)
from tests.unit.config.reading import decoded, good, messages


def wrong(text: str, config: type[object] = StoreConfig) -> list[str]:
    if config is StoreConfig:
        text = f"connection_string: x\n{text}"
    value, problems = decoded(text, config)
    assert isinstance(value, InvalidValue)
    return messages(problems)


def test_every_type_of_option_is_decoded() -> None:
    """One file with one of each."""
    text = """
    connection_string: postgresql://me:pw@host/db
    password: 0123
    path: /var/lib/x.db
    enabled: false
    color: green
    retention: {metrics: 90d}
    labels: {team: 42, on: yes}
    names: [a, 1, null-ish]
    limit: 7
    extra: {a: [1, 2.5, true, ~, "x", 012]}
    word: hello
    """
    assert good(text, StoreConfig) == StoreConfig(
        connection_string=ConnectionString("postgresql://me:pw@host/db"),
        password=Secret("0123"),
        path=Path("/var/lib/x.db"),
        enabled=False,
        color=Color.GREEN,
        retention={"metrics": Duration(90 * 86400)},
        labels={"team": "42", "on": "yes"},
        names=("a", "1", "null-ish"),
        limit=7,
        extra={"a": [1, 2.5, True, None, "x", "012"]},
        word="HELLO",
    )


@pytest.mark.parametrize("text", ["yes", "0123", "1e10", "12:30", "0x1F", "2024-01-01", "1_000", "off"])
def test_a_text_option_takes_what_is_written(text: str) -> None:
    """No quotes needed: the option is a text, so that is one."""
    assert good(f"endpoint: {text}", ServerConfig).endpoint == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("text", "text"),
        ("1.5", 1.5),
        ("true", True),
        ("'3'", "3"),
        ("yes", "yes"),
        ("0123", "0123"),
    ],
)
def test_a_union_takes_the_type_that_is_written(text: str, value: object) -> None:
    """As an attribute's value: numbers are numbers unless in quotes."""
    config = good(f"attributes: [{{key: k, value: {text}}}]", EditConfig)
    assert config == EditConfig(attributes=(ActionConfig(key="k", value=value),))  # type: ignore[arg-type]  # any of them
    assert type(config.attributes[0].value) is type(value)


@pytest.mark.parametrize("text", ["", "null", "~"])
def test_an_option_without_a_value_keeps_its_default(text: str) -> None:
    """As in otelcol."""
    assert good(f"size: {text}\ntimeout: {text}", BatchConfig) == BatchConfig()


def test_a_section_without_a_body_has_all_its_defaults() -> None:
    """`grpc:` alone switches gRPC on; what is not there stays off."""
    assert good("grpc:", ProtocolsConfig) == ProtocolsConfig(grpc=ServerConfig(), http=None)
    assert good("{}", LimiterConfig) == LimiterConfig()


def test_another_name_of_an_option_works() -> None:
    """Both spellings are the same option."""
    config = good("{batch_size: 10, batch_interval_seconds: 5}", BatchConfig)
    assert (config.size, config.timeout) == (10, 5.0)


def test_both_names_of_an_option_are_too_many() -> None:
    """Which one should win?"""
    assert wrong("size: 1\nbatch_size: 2", BatchConfig) == [
        "3:1 option 'size' is given twice | another name of what is set at --config:2:1"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("enabled: yes", "3:10 store.enabled: 'yes' is not true or false | write true"),
        ("enabled: OFF", "3:10 store.enabled: 'OFF' is not true or false | write false"),
        ("enabled: 'true'", "3:10 store.enabled: 'true' is not true or false | remove the quotes: this is a text, not true or false"),
        ("enabled: [true]", "3:1 store.enabled: expected true or false, found a list"),
        ("limit: ten", "3:8 store.limit: 'ten' is not an integer"),
        ("limit: 1.0", "3:8 store.limit: '1.0' is not an integer"),
        ("limit: true", "3:8 store.limit: 'true' is not an integer"),
        ("limit: 0123", "3:8 store.limit: '0123' is not an integer | write 123, or 0o… for an octal number"),
        ("limit: 1_000", "3:8 store.limit: '1_000' is not an integer | write 1000"),
        ("limit: '5'", "3:8 store.limit: '5' is not an integer | remove the quotes: this is a text, not integer"),
        ("limit: 0", "3:8 store.limit is 0 | must be at least 1"),
        ("color: gren", "3:8 store.color: 'gren' is not one of red, green | did you mean 'green'?"),
        ("retention: {metrics: soon}", "3:22 store.retention.metrics: 'soon' is not a duration: write it like 200ms, 5s, 1h30m or 90d"),
        ("retention: {metrix: 5d}", "3:13 unknown key 'metrix' | did you mean 'metrics'?"),
        ("retention: 5d", "3:12 store.retention: expected map of traces | metrics to duration, found a text"),
        ("names: a", "3:8 store.names: expected list of text, found a text | write it as a list: [value]"),
        ("names: [a, [b]]", "3:12 store.names[1]: expected text, found a list"),
        ("labels: {a: {b: c}}", "3:10 store.labels.a: expected text, found a mapping"),
        ("word: x1", "3:7 store.word: must be letters"),
        ('path: "a\\0b"', "3:7 store.path: 'a\\x00b' is not a path"),
        ("path: ''", "3:7 store.path: '' is not a path"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_what_to_write(text: str, expected: str) -> None:
    """At the value, or at the key if the value is not one scalar."""
    assert [expected] == wrong(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("size: 100001", "2:7 store.size is 100001 | must be at most 100000"),
        ("timeout: 0s", "2:10 store.timeout is 0s | must be at least 1ms"),
        ("ratio: 1.5", "2:8 store.ratio is 1.5 | must be at most 1.0"),
        ("ratio: .nan", "2:8 store.ratio: '.nan' is not a number"),
        ("ratio: 1e999", "2:8 store.ratio: '1e999' is not a number"),
        (
            "timeout: -5s",
            "2:10 store.timeout: '-5s' is not a duration: write it like 200ms, 5s, 1h30m or 90d",
        ),
        ("size_max: 5\nsize: 10", "2:1 store.size_max: must not be less than size"),
        ("batch_size: 10\nsize_max: 5", "3:1 store.size_max: must not be less than size"),
    ],
)
def test_bounds_and_own_checks_are_found_at_the_option(text: str, expected: str) -> None:
    """In the spelling of its type."""
    assert [expected] == wrong(text, BatchConfig)


def test_a_size_is_refused_in_its_own_spelling() -> None:
    """1024 as 1KiB."""
    assert wrong("size_max: 5B", ServerConfig) == ["2:11 store.size_max is 5 | must be at least 1KiB"]


def test_an_unknown_option_is_answered_with_the_known_ones() -> None:
    """And with the one that was probably meant."""
    _, problems = decoded("sise: 1", BatchConfig)
    assert messages(problems) == ["2:1 unknown option 'sise' | did you mean 'size'?"]
    assert problems[0].notes == ("store accepts: size, size_max, timeout, ratio",)


def test_an_option_that_belongs_deeper_is_sent_there() -> None:
    """`otlp: {endpoint: …}` is the usual mistake."""
    text = "protocols: {grpc: }\nendpoint: x"
    assert wrong(text, OtlpConfig) == [
        "3:1 unknown option 'endpoint' | it belongs under protocols.grpc or protocols.http"
    ]


def test_a_missing_option_is_named_with_an_example() -> None:
    """At the key of the section that lacks it."""
    _, problems = decoded("{}", StoreConfig)
    assert messages(problems) == ["1:1 store needs option 'connection_string' | it is missing here"]
    assert problems[0].notes == (
        "connection_string: Where the database is.",
        "example: connection_string: sqlite:///x.db",
    )


def test_a_misspelt_required_option_is_one_mistake() -> None:
    """It is not missing as well."""
    assert wrong("protocol: {grpc: }", OtlpConfig) == [
        "2:1 unknown option 'protocol' | did you mean 'protocols'?"
    ]


def test_a_required_option_without_a_value_says_what_is_expected() -> None:
    """It has no default to keep."""
    _, problems = decoded("connection_string:", StoreConfig)
    assert messages(problems) == ["2:1 store.connection_string has no value | expected: connection string"]


def test_an_option_of_otelcol_that_would_matter_is_an_error_that_says_how() -> None:
    """Silence would make the author believe that it works."""
    assert wrong("grpc: {tls: {}}", ProtocolsConfig) == [
        "2:8 option 'tls' of otelcol is not supported | connections would be encrypted"
    ]


def test_an_option_of_otelcol_that_would_not_matter_is_a_warning() -> None:
    """The configuration is good."""
    value, problems = decoded("grpc: {write_buffer_size: 5}", ProtocolsConfig)
    assert value == ProtocolsConfig(grpc=ServerConfig())
    assert [problem.severity for problem in problems] == ["warning"]
    assert messages(problems) == [
        "2:8 option 'write_buffer_size' of otelcol is not supported and has no effect | buffers would have this size"
    ]


def test_a_check_over_nested_sections_is_found_at_the_option_it_names() -> None:
    """Through optional sections; and at the section itself if no option is to blame."""
    text = "grpc: {endpoint: x}\nhttp:\n  endpoint: x"
    assert wrong(text, ProtocolsConfig) == ["4:3 store.http.endpoint: is the endpoint of grpc already"]
    assert wrong("protocols: {}", OtlpConfig) == ["2:1 store.protocols: needs grpc or http"]


def test_a_check_over_options_is_made_beside_an_unreadable_one() -> None:
    """Unless it asks for that one: what it would find is not known."""
    assert wrong("size: 5\nsize_max: 3\nratio: x", BatchConfig) == [
        "4:8 store.ratio: 'x' is not a number",
        "3:1 store.size_max: must not be less than size",
    ]
    for unreadable in ("size: x", "sise: 100"):
        assert len(wrong(f"{unreadable}\nsize_max: 3", BatchConfig)) == 1


def test_every_mistake_is_found_in_one_run() -> None:
    """In sections, lists and mappings alike."""
    text = "endpoint: x\nnames: [{}, []]\nlabels: {a: []}\nlimit: -1\ncolor: blue\nenabled: on"
    assert [line.partition(" ")[0] for line in wrong(text)] == [
        "3:1",
        "4:9",
        "4:13",
        "5:10",
        "6:8",
        "7:8",
        "8:10",
    ]
