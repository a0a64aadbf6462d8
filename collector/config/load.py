"""Files, `--set` and environment -> one tree, with everything that was wrong on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.config.diagnostics import Place, Problem
from collector.config.merge import merge, set_option
from collector.config.parse import Text, parse
from collector.config.sources import SourceError, Surroundings
from collector.config.substitution import substitute
from collector.config.tree import Map, Scalar

DEFAULT: Final = "default:"  # names the configuration in the package, which is used when none is given


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration before its types. `root` is None when some part of it could not even be parsed."""

    root: Map | None
    problems: tuple[Problem, ...]
    names: tuple[str, ...]  # of the files, as in messages


def load(locations: Sequence[str], sets: Iterable[str], surroundings: Surroundings) -> Source:
    """Read and merge configurations, then `--set`, then substitute `${…}`. Never raises.

    Args:
        locations: Paths; or `file:path`, `env:NAME`, `yaml:text` as for otelcol. None: the built-in default.
        sets: Assignments `a.b.c=value`.
        surroundings: What `${env:…}` and `${file:…}` see.
    """
    texts: list[Text] = []
    problems: list[Problem] = []
    for location in locations or (DEFAULT,):
        try:
            texts.append(_read(location, surroundings))
        except SourceError as error:
            problems.append(Problem(message=f"cannot read the configuration: {error}", place=None))
    root: Map | None = None
    broken = bool(problems)
    for text in texts:
        parsed, found = _parse_map(text)
        problems += found
        if parsed is None:
            broken = True
        elif root is None:
            root = parsed
        else:
            merged = merge(root, parsed)
            root = merged if isinstance(merged, Map) else root
    names = tuple(text.file for text in texts)
    if broken or root is None:
        return Source(None, tuple(problems), names)
    for number, assignment in enumerate(sets, start=1):
        root, found = set_option(root, assignment, number)
        problems += found
    substituted = substitute(root, surroundings, problems)
    return Source(substituted if isinstance(substituted, Map) else root, tuple(problems), names)


def default_text() -> str:
    """Return the configuration that is used when none is given."""
    return Path(__file__).with_name("default.yaml").read_text("utf-8")


def _read(location: str, surroundings: Surroundings) -> Text:
    """Return the text at `location`.

    Raises:
        SourceError: it cannot be read.
    """
    scheme, _, rest = location.partition(":")
    match scheme:
        case "file":
            return Text(rest, surroundings.file(rest))
        case "yaml":
            return Text("--config", rest, 1, "yaml:")
        case "env":
            value = surroundings.variable(rest)
            if value is None:
                raise SourceError(f"environment variable {rest} is not set")
            return Text(location, value)
        case "http" | "https":
            raise SourceError(f"{location}: configuration over the network is not supported; give a file")
        case "default":
            return Text("default.yaml (built in)", default_text())
        case _:
            return Text(location, surroundings.file(location))


def _parse_map(text: Text) -> tuple[Map | None, list[Problem]]:
    """Parse a configuration, whose root has to be a mapping."""
    root, problems = parse(text)
    if isinstance(root, Map) or problems:
        return (root if isinstance(root, Map) else None), problems
    if root is None or (isinstance(root, Scalar) and root.is_null):
        return None, [
            Problem(message=f"{text.file} is empty", place=None, label="it needs at least a service:")
        ]
    place: Place = root.place
    label = "is a space missing after ':'?" if isinstance(root, Scalar) and ":" in root.text else ""
    return None, [Problem(message="a configuration is a mapping of sections", place=place, label=label)]
