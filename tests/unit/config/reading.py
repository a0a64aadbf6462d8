"""What the tests of the configuration say in one word."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TypeVar

from collector.config.decode import InvalidValue, decode
from collector.config.diagnostics import ConfigError, Place, Problem
from collector.config.load import load
from collector.config.parse import Text, parse
from collector.config.sources import Surroundings
from collector.service.config import Config, load_config
from tests.unit.config.factories import FACTORIES

T = TypeVar("T")

VALID = """\
receivers: {otlp: {protocols: {grpc: }}}
exporters: {debug: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
"""


def decoded(
    text: str, config: type[T], variables: Mapping[str, str] | None = None
) -> tuple[T | InvalidValue, list[Problem]]:
    """Decode one section written as YAML."""
    source = load([f"yaml:\n{textwrap.dedent(text)}"], (), Surroundings(variables or {}))
    problems = list(source.problems)
    place = Place("--config", 1, 1, 1, "")
    return decode(source.root, config, path="store", place=place, problems=problems), problems


def good(text: str, config: type[T], variables: Mapping[str, str] | None = None) -> T:
    """Decode a section that has no problem."""
    value, problems = decoded(text, config, variables)
    assert problems == []
    assert isinstance(value, config)
    return value


def messages(problems: Sequence[Problem]) -> list[str]:
    """Return `line:column message | label` of each problem."""
    return [
        f"{f'{p.place.line}:{p.place.column} ' if p.place else ''}{p.message}{f' | {p.label}' if p.label else ''}"
        for p in problems
    ]


def config_of(text: str, *, sets: Sequence[str] = (), variables: Mapping[str, str] | None = None) -> Config:
    """Load a whole configuration."""
    location = f"yaml:\n{textwrap.dedent(text)}"
    return load_config(load([location], sets, Surroundings(variables or {})), FACTORIES)


def problems_of(
    text: str, *, sets: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> list[str]:
    """Return the messages of a configuration that cannot be used."""
    try:
        config_of(text, sets=sets, variables=variables)
    except ConfigError as error:
        return messages(error.problems)
    raise AssertionError("the configuration is valid")


def parsed(text: str) -> list[str]:
    """Return what is wrong with the YAML itself."""
    return messages(parse(Text("a.yaml", textwrap.dedent(text)))[1])
