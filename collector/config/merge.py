"""Several configurations as one. The later one wins; every node keeps the place it was written at."""

from __future__ import annotations

from collector.config.diagnostics import Place, Problem
from collector.config.parse import DEPTH_MAX, Text, parse
from collector.config.tree import Entry, Map, Node, Scalar


def merge(below: Node, above: Node) -> Node:
    """Lay `above` over `below`: mappings key by key, everything else replaces what was there.

    As in otelcol a list replaces a list, and an empty value takes away what was set below.
    """
    if not (isinstance(below, Map) and isinstance(above, Map)):
        return above
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        known = entries.get(key)
        entries[key] = Entry(entry.key, merge(known.value, entry.value)) if known else entry
    return Map(entries, above.place)


def set_option(root: Map, assignment: str, number: int) -> tuple[Map, list[Problem]]:
    """Apply `--set a.b.c=value`, the `number`th one; the value is YAML. Keys with a '.' in them: `a::b.c::d=value`.

    Returns:
        The new root (the old one if that failed), and what is wrong.
    """
    path, equals, value = assignment.partition("=")
    whole = Text("--set", assignment, number).place(0, 0, len(path))
    keys = path.split("::" if "::" in path else ".")
    if not equals or not all(keys) or len(keys) > DEPTH_MAX:
        message = f"{assignment!r} does not set an option"
        return root, [
            Problem(message=message, place=whole, label="write it like exporters.sqlite.path=data.db")
        ]
    parsed, problems = parse(Text("--set", value, number, f"{path}="))
    node: Node | None = parsed
    if problems:
        return root, problems
    if node is None:
        node = Scalar("", whole)
    places = _key_places(assignment, keys, "::" if "::" in path else ".", number)
    below: Node = root
    for depth, key in enumerate(keys):
        if not isinstance(below, Map):
            if not (isinstance(below, Scalar) and below.is_null):
                message = f"'{'.'.join(keys[:depth])}' is not a mapping: --set cannot reach into it"
                note = f"it was set at {below.place}"
                return root, [Problem(message=message, place=places[depth], notes=(note,))]
            break
        if key not in below.entries:
            break
        below = below.entries[key].value
    for key, place in zip(reversed(keys), reversed(places), strict=True):
        node = Map({key: Entry(place, node)}, place)
    merged = merge(root, node)
    return (merged if isinstance(merged, Map) else root), []


def _key_places(assignment: str, keys: list[str], separator: str, number: int) -> list[Place]:
    text = Text("--set", assignment, number)
    places: list[Place] = []
    column = 0
    for key in keys:
        places.append(text.place(0, column, len(key)))
        column += len(key) + len(separator)
    return places
