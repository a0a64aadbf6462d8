"""YAML text -> tree (`config.tree`), with everything that is wrong with the YAML itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import yaml

from collector.config.diagnostics import Place, Problem
from collector.config.tree import Entry, List, Map, Node, Scalar

_Loader: Final = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # libyaml where the wheel has it: ten times faster
DEPTH_MAX: Final = 100
_NODES_MAX: Final = 100_000  # after aliases: ten lines of aliases of aliases are a thousand million nodes
_TEXT_TAGS: Final = ("!", "tag:yaml.org,2002:str")
_COLLECTION_TAGS: Final = (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_NO_SPACE: Final = re.compile(r"^\s*(?:-\s+)?[A-Za-z_][\w/.-]*:[^\s:/]")


@dataclass(frozen=True)
class Text:
    """A text to be parsed: its name in messages, and where it stands if it is a part of something longer."""

    file: str
    body: str
    line: int = 1  # of the first line
    lead: str = ""  # what stands before the first character in its line

    @cached_property
    def lines(self) -> list[str]:
        """The lines as YAML counts them; what else `splitlines` splits at is not allowed in YAML."""
        return self.body.splitlines() or [""]

    def place(self, line: int, column: int, length: int = 1) -> Place:
        """Return the place of a mark: `line` and `column` count from 0, as YAML's do."""
        shown = self.lines[line] if line < len(self.lines) else ""
        if line == 0:
            shown, column = self.lead + shown, column + len(self.lead)
        return Place(self.file, self.line + line, column + 1, max(1, length), shown)


def parse(text: Text) -> tuple[Node | None, list[Problem]]:
    """Parse one YAML document.

    Returns:
        The root (None if there is no document, or it is not well-formed), and what is wrong.
    """
    builder = _Builder(text)
    try:
        # Not yaml.compose: it recurses with the depth of the text, and lets equal keys pass.
        for event in yaml.parse(text.body, Loader=_Loader):
            builder.take(event)
    except _StopError:
        return None, builder.problems
    except yaml.MarkedYAMLError as error:
        return None, [*builder.problems, _syntax(text, error)]
    except yaml.reader.ReaderError as error:
        return None, [*builder.problems, _unreadable(text, error)]
    return builder.root, builder.problems


class _StopError(Exception):
    """The rest of the text cannot be used."""


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    place: Place
    anchor: str | None
    is_map: bool
    key: Scalar | None = None
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    merged: list[Map] = field(default_factory=list)


class _Builder:
    """Turns YAML's events into a tree."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self.stack: list[_Open] = []
        self.anchors: dict[str, Node] = {}
        self.sizes: dict[str, int] = {}  # by anchor
        self.nodes = 0
        self.starts: dict[str, int] = {}  # nodes seen when an anchored collection began
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        """Take the next event."""
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self.stop("a second document begins here", self._place(event), "one document in a file")
            case yaml.ScalarEvent():
                quoted = bool(event.style) or event.tag in _TEXT_TAGS  # libyaml says '' for plain
                scalar = Scalar(event.value, self._place(event), quoted)
                if event.tag is not None and event.tag not in _TEXT_TAGS:
                    self.problem(f"tag {event.tag!r} is not supported", scalar.place, "remove it")
                self.count(1, scalar.place)
                if event.anchor:
                    self.anchors[event.anchor], self.sizes[event.anchor] = scalar, 1
                self.add(scalar)
            case yaml.AliasEvent():
                place, name = self._place(event), event.anchor or ""
                if name not in self.anchors:
                    inside = any(frame.anchor == name for frame in self.stack)
                    message = f"alias '*{name}' " + ("contains itself" if inside else "is not defined above")
                    self.stop(message, place)
                self.count(self.sizes[name], place)
                self.add(self.anchors[name])
            case yaml.CollectionStartEvent():
                place = self._place(event)
                if event.tag not in _COLLECTION_TAGS:
                    self.problem(f"tag {event.tag!r} is not supported", place, "remove it")
                if len(self.stack) == DEPTH_MAX:
                    self.stop(f"nested more than {DEPTH_MAX} deep", place)
                self.count(1, place)
                if event.anchor:
                    self.anchors.pop(event.anchor, None)
                    self.starts[event.anchor] = self.nodes - 1
                self.stack.append(_Open(place, event.anchor, isinstance(event, yaml.MappingStartEvent)))
            case yaml.CollectionEndEvent():
                self.close()

    def close(self) -> None:
        """End the innermost collection."""
        frame = self.stack.pop()
        node: Node
        if frame.is_map:
            for merged in frame.merged:
                for key, entry in merged.entries.items():
                    frame.entries.setdefault(key, entry)
            node = Map(frame.entries, frame.place)
        else:
            node = List(tuple(frame.items), frame.place)
        if frame.anchor:
            self.anchors[frame.anchor] = node
            self.sizes[frame.anchor] = self.nodes - self.starts[frame.anchor]
        self.add(node)

    def add(self, node: Node) -> None:
        """Put a finished node where it belongs."""
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if not frame.is_map:
            frame.items.append(node)
        elif frame.key is None:
            if not isinstance(node, Scalar):
                self.stop("a key must be a text", node.place, "write 'key: value'")
            else:
                frame.key = node
        else:
            key, frame.key = frame.key, None
            if key.text == "<<" and not key.quoted:
                frame.merged += self.mergeable(node)
            elif key.text in frame.entries:
                first = frame.entries[key.text].key
                self.problem(f"key {key.text!r} is there twice", key.place, f"first in line {first.line}")
            else:
                frame.entries[key.text] = Entry(key.place, node)

    def mergeable(self, node: Node) -> Iterator[Map]:
        """Yield the mappings named by a merge key (`<<: *a` or `<<: [*a, *b]`)."""
        for part in node.items if isinstance(node, List) else (node,):
            if isinstance(part, Map):
                yield part
            else:
                self.problem("only mappings can be merged with '<<'", part.place)

    def count(self, nodes: int, place: Place) -> None:
        """Count nodes, aliases with all that they stand for."""
        self.nodes += nodes
        if self.nodes > _NODES_MAX:
            self.stop(f"more than {_NODES_MAX} nodes", place, "aliases of aliases?")

    def problem(self, message: str, place: Place, label: str = "") -> None:
        """Note a problem and go on."""
        self.problems.append(Problem(message=message, place=place, label=label))

    def stop(self, message: str, place: Place, label: str = "") -> None:
        """Note a problem after which the rest is of no use."""
        self.problem(message, place, label)
        raise _StopError

    def _place(self, event: yaml.Event) -> Place:
        start, end = event.start_mark, event.end_mark
        if start is None or end is None:  # every event of a parser has both
            return self.text.place(0, 0)
        lines = self.text.lines
        stop = end.column if end.line == start.line else len(lines[start.line])
        return self.text.place(start.line, start.column, stop - start.column)


def _syntax(text: Text, error: yaml.MarkedYAMLError) -> Problem:
    """Say what is wrong with the YAML itself, in the terms of its usual causes."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem(message=f"not well-formed YAML: {error.problem}", place=None)
    line, column = mark.line, mark.column
    while line > 0 and (
        line >= len(text.lines) or not text.lines[line].strip()
    ):  # the end: show what is there
        line -= 1
        column = len(text.lines[line])
    place = text.place(line, min(column, max(0, len(text.lines[line]) - 1)))
    before = text.lines[line - 1] if line > 0 else ""
    notes: tuple[str, ...] = ()
    if error.context:
        where = f" (line {error.context_mark.line + text.line})" if error.context_mark else ""
        notes = (f"{error.context}{where}",)
    indent = place.text[: len(place.text) - len(place.text.lstrip())]
    if "\t" in indent:
        tab = replace(place, column=place.text.index("\t") + 1, length=indent.count("\t"))
        return Problem(message="a tab cannot indent YAML", place=tab, label="use spaces")
    label = ""
    if _NO_SPACE.match(place.text) or (_NO_SPACE.match(before) and "mapping values" in str(error.problem)):
        label = "is a space missing after ':'?"
    elif "${" in place.text and "flow" in str(error.context):
        label = "within [ ] and { } put '${…}' in quotes"
    elif "anchor" in str(error.context) or "alias" in str(error.context):
        label = "put a text that begins with '*' or '&' in quotes"
    elif place.text[place.column - 1 :].startswith(("@", "`", "%")):
        label = "put a text that begins with this character in quotes"
    return Problem(message=f"not well-formed YAML: {error.problem}", place=place, label=label, notes=notes)


def _unreadable(text: Text, error: yaml.reader.ReaderError) -> Problem:
    """Point at a character that YAML does not allow."""
    for number, line in enumerate(text.lines):
        for column, character in enumerate(line):
            if yaml.reader.Reader.NON_PRINTABLE.match(character):
                return Problem(
                    message=f"character U+{ord(character):04X} is not allowed in YAML",
                    place=text.place(number, column),
                    label="write it as an escape in double quotes",
                )
    return Problem(message=f"{text.file} cannot be read as YAML: {error.reason}", place=None)
