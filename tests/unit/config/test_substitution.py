"""`${…}`: the environment and files, in scalars."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config.decode import plain
from collector.config.load import load
from collector.config.sources import Surroundings
from tests.unit.config.factories import BatchConfig, ServerConfig, StoreConfig
from tests.unit.config.reading import decoded, good, messages

VARIABLES = {
    "HOST": "db",
    "PORT": "5432",
    "EMPTY": "",
    "HARD": "1e10",
    "REF": "${env:HOST}",
    "BYTES": "\udcff",
}


def value(text: str, **more: str) -> object:
    source = load([f"yaml:\na: {text}"], (), Surroundings(VARIABLES | more))
    assert source.problems == ()
    assert source.root is not None
    return plain(source.root.entries["a"].value)


def failure(text: str, variables: dict[str, str] | None = None) -> list[str]:
    source = load([f"yaml:\na: {text}"], (), Surroundings(VARIABLES if variables is None else variables))
    return messages(source.problems)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${env:HOST}", "db"),
        ("${HOST}", "db"),
        ("${HOST}:${PORT}/x", "db:5432/x"),
        ("${env:PORT}", 5432),
        ("'${env:PORT}'", "5432"),
        ("${env:NONE:-fallback}", "fallback"),
        ("${env:NONE:-}", None),
        ("${NONE:-a:-b}", "a:-b"),
        ("${env:EMPTY:-fallback}", None),
        ("${env:NONE:-${env:HOST}-x}", "db-x"),
        ("${env:REF}", "${env:HOST}"),
        ("$$", "$"),
        ("$${env:HOST}", "${env:HOST}"),
        ("$$${HOST}", "$db"),
        ("a$b$", "a$b$"),
        ("^x$", "^x$"),
    ],
)
def test_substitution_replaces(text: str, expected: object) -> None:
    """Each form of the language."""
    assert expected == value(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${env:NONE}", "environment variable NONE is not set | set it, or write ${env:NONE:-default}"),
        ("${1}", "'1' is not the name of an environment variable | write '$${' for the characters '${'"),
        (
            "${env:A B}",
            "'A B' is not the name of an environment variable | write '$${' for the characters '${'",
        ),
        ("'${env:HOST'", "'${' without its '}' | write '$${' for these characters themselves"),
        ("${http://x}", "'${http:…}' is not supported | only ${env:NAME} and ${file:/path} are"),
        ("${file:/no/such/file}", "/no/such/file: No such file or directory"),
        ("${env:BYTES}", "environment variable BYTES is not UTF-8"),
    ],
)
def test_substitution_says_what_it_cannot_replace_and_the_remedy(text: str, expected: str) -> None:
    """At the place of the scalar."""
    assert [f"2:4 {expected}"] == failure(text)


def test_substitution_has_a_bound_on_nesting() -> None:
    """Python's own would be an exception that nobody expects."""
    assert failure("${X:-" * 5000 + "}" * 5000) == ["2:54 '${…}' is nested more than 10 deep"]


def test_the_reference_that_cannot_be_replaced_is_marked() -> None:
    """Not the whole text around it."""
    source = load(["yaml:\na: 'x${env:HOST}${env:NONE}y'"], (), Surroundings(VARIABLES))
    (problem,) = source.problems
    assert problem.place is not None
    assert (problem.place.column, problem.place.length) == (17, 11)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"pw\n", "pw"), (b"pw\r\n", "pw"), (b"pw\n\n", "pw\n"), (b" pw ", " pw "), (b"\xef\xbb\xbfpw", "pw")],
)
def test_a_file_gives_its_text_without_one_newline_at_the_end(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    """Editors and `echo` put one newline there; anything else is meant."""
    (tmp_path / "secret").write_bytes(content)
    assert expected == value(f"${{file:{tmp_path}/secret}}")


def test_a_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    """`${file:${env:DIRECTORY}/name}`."""
    (tmp_path / "secret").write_text("pw")
    assert value("${file:${env:DIRECTORY}/secret}", DIRECTORY=str(tmp_path)) == "pw"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """With the line of the first wrong byte."""
    (tmp_path / "secret").write_bytes(b"a\nb\xff")
    assert failure(f"${{file:{tmp_path}/secret}}") == [f"2:4 {tmp_path}/secret is not UTF-8 text (line 2)"]


@pytest.mark.parametrize("text", ["1e10", "0x12", "0123", "yes", "null", "~", "", "a: b", "[x]", "*a", "#"])
def test_a_text_option_gets_a_variable_as_it_is(text: str) -> None:
    """Passwords that look like numbers or YAML are passwords."""
    assert text == good("endpoint: ${env:VALUE}", ServerConfig, {"VALUE": text}).endpoint
    config = good("{connection_string: x, password: '${env:VALUE}'}", StoreConfig, {"VALUE": text})
    assert config.password is not None
    assert text == config.password.reveal()


def test_other_options_get_a_variable_as_their_type() -> None:
    """With or without quotes."""
    config = good('{size: "${env:SIZE}", timeout: "${env:TIME}"}', BatchConfig, {"SIZE": "10", "TIME": "5s"})
    assert (config.size, config.timeout) == (10, 5.0)


def test_an_empty_variable_keeps_the_default_of_an_option_that_is_no_text() -> None:
    """`${env:NAME:-}` is the way to say "if set"."""
    assert good("size: ${env:SIZE:-}", BatchConfig).size == 8192


def test_a_wrong_value_names_where_it_comes_from() -> None:
    """The source line shows only the reference."""
    _, problems = decoded("size: ${env:SIZE}", BatchConfig, {"SIZE": "ten"})
    assert messages(problems) == ["2:7 store.size: 'ten' is not an integer"]
    assert problems[0].notes == ("the value comes from ${env:SIZE}",)


def test_a_wrong_value_from_a_file_or_a_secret_variable_is_not_shown(tmp_path: Path) -> None:
    """It may be a password in the wrong place."""
    (tmp_path / "secret").write_text("hunter2")
    text = f"{{size: '${{file:{tmp_path}/secret}}', timeout: '${{env:DB_PASSWORD}}'}}"
    _, problems = decoded(text, BatchConfig, {"DB_PASSWORD": "hunter2"})
    assert [problem.message.split(": ", 1)[0] for problem in problems] == ["store.size", "store.timeout"]
    assert not any("hunter2" in problem.render() for problem in problems)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"COLLECTOR_DATA_DIR": "/data", "HOME": "/h"}, "/data"),
        ({"XDG_STATE_HOME": "/state", "HOME": "/h"}, "/state/collector"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/collector"),
        ({"HOME": "/h"}, "/h/.local/state/collector"),
    ],
)
def test_the_data_directory_has_a_value_even_if_it_is_not_set(
    variables: dict[str, str], expected: str
) -> None:
    """The XDG state directory, whose variable counts only if it is absolute."""
    source = load(["yaml:\na: ${env:COLLECTOR_DATA_DIR}"], (), Surroundings(variables))
    assert source.root is not None
    assert plain(source.root) == {"a": expected}


def test_without_a_home_the_data_directory_has_to_be_set() -> None:
    """A container without HOME gets an error, not a file in its root."""
    assert failure("${env:COLLECTOR_DATA_DIR}", {}) == [
        "2:4 environment variable COLLECTOR_DATA_DIR is not set | set it, or write ${env:COLLECTOR_DATA_DIR:-default}"
    ]
