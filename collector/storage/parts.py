"""The JSON of what lives inside a row: exemplars, events, links and entity references, and back.

Each is an array of objects whose keys are OTLP's field names. A key is missing when the field has protobuf's
default. Times are integers, ids lower-case hexadecimal, attributes and doubles in the form of `values`. An
exemplar's `value` is a double or an int by its spelling, and missing when the exemplar has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from collector.storage.values import (
    attributes_text,
    double_of,
    double_text,
    fill_attributes,
    parse_json,
    quote,
)


def exemplars_text(exemplars: Iterable[Any]) -> str:
    """JSON of a point's exemplars."""
    return _array(map(_exemplar, exemplars))


def events_text(events: Iterable[Any]) -> str:
    """JSON of a span's events."""
    return _array(map(_event, events))


def links_text(links: Iterable[Any]) -> str:
    """JSON of a span's links."""
    return _array(map(_link, links))


def entity_refs_text(entity_refs: Iterable[Any]) -> str:
    """JSON of a resource's entity references."""
    return _array(map(_entity_ref, entity_refs))


def fill_exemplars(target: Any, text: str) -> None:
    """Append the exemplars of `text` to the repeated field `target`."""
    for json in parse_json(text):
        exemplar = target.add(
            time_unix_nano=json.get("time_unix_nano", 0),
            trace_id=bytes.fromhex(json.get("trace_id", "")),
            span_id=bytes.fromhex(json.get("span_id", "")),
        )
        value = json.get("value")
        if type(value) is int:
            exemplar.as_int = value
        elif value is not None:
            exemplar.as_double = double_of(value)
        fill_attributes(exemplar.filtered_attributes, json.get("filtered_attributes", {}))


def fill_events(target: Any, text: str) -> None:
    """Append the events of `text` to the repeated field `target`."""
    for json in parse_json(text):
        event = target.add(
            time_unix_nano=json.get("time_unix_nano", 0),
            name=json.get("name", ""),
            dropped_attributes_count=json.get("dropped_attributes_count", 0),
        )
        fill_attributes(event.attributes, json.get("attributes", {}))


def fill_links(target: Any, text: str) -> None:
    """Append the links of `text` to the repeated field `target`."""
    for json in parse_json(text):
        link = target.add(
            trace_id=bytes.fromhex(json.get("trace_id", "")),
            span_id=bytes.fromhex(json.get("span_id", "")),
            trace_state=json.get("trace_state", ""),
            dropped_attributes_count=json.get("dropped_attributes_count", 0),
            flags=json.get("flags", 0),
        )
        fill_attributes(link.attributes, json.get("attributes", {}))


def fill_entity_refs(target: Any, text: str) -> None:
    """Append the entity references of `text` to the repeated field `target`."""
    for json in parse_json(text):
        target.add(**json)


def _array(elements: Iterable[str]) -> str:
    return f"[{','.join(elements)}]"


def _exemplar(exemplar: Any) -> str:
    parts = []
    if exemplar.time_unix_nano:
        parts.append(f'"time_unix_nano":{exemplar.time_unix_nano}')
    match exemplar.WhichOneof("value"):
        case "as_double":
            parts.append(f'"value":{double_text(exemplar.as_double)}')
        case "as_int":
            parts.append(f'"value":{exemplar.as_int}')
    if exemplar.trace_id:
        parts.append(f'"trace_id":"{exemplar.trace_id.hex()}"')
    if exemplar.span_id:
        parts.append(f'"span_id":"{exemplar.span_id.hex()}"')
    if exemplar.filtered_attributes:
        parts.append(f'"filtered_attributes":{attributes_text(exemplar.filtered_attributes)}')
    return f"{{{','.join(parts)}}}"


def _event(event: Any) -> str:
    parts = []
    if event.time_unix_nano:
        parts.append(f'"time_unix_nano":{event.time_unix_nano}')
    if event.name:
        parts.append(f'"name":{quote(event.name)}')
    if event.attributes:
        parts.append(f'"attributes":{attributes_text(event.attributes)}')
    if event.dropped_attributes_count:
        parts.append(f'"dropped_attributes_count":{event.dropped_attributes_count}')
    return f"{{{','.join(parts)}}}"


def _link(link: Any) -> str:
    parts = []
    if link.trace_id:
        parts.append(f'"trace_id":"{link.trace_id.hex()}"')
    if link.span_id:
        parts.append(f'"span_id":"{link.span_id.hex()}"')
    if link.trace_state:
        parts.append(f'"trace_state":{quote(link.trace_state)}')
    if link.attributes:
        parts.append(f'"attributes":{attributes_text(link.attributes)}')
    if link.dropped_attributes_count:
        parts.append(f'"dropped_attributes_count":{link.dropped_attributes_count}')
    if link.flags:
        parts.append(f'"flags":{link.flags}')
    return f"{{{','.join(parts)}}}"


def _entity_ref(entity_ref: Any) -> str:
    parts = []
    if entity_ref.schema_url:
        parts.append(f'"schema_url":{quote(entity_ref.schema_url)}')
    if entity_ref.type:
        parts.append(f'"type":{quote(entity_ref.type)}')
    if entity_ref.id_keys:
        parts.append(f'"id_keys":{_array(map(quote, entity_ref.id_keys))}')
    if entity_ref.description_keys:
        parts.append(f'"description_keys":{_array(map(quote, entity_ref.description_keys))}')
    return f"{{{','.join(parts)}}}"
