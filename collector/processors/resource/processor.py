"""The `resource` processor: changes the attributes of resources."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Consumer
from collector.processors.resource.config import ActionConfig, ResourceConfig
from collector.processors.resource.environment import parse_attributes

# Changes one resource; returns whether it did. The protobuf classes are typed Any: they differ by signal only.
Change = Callable[[Any], bool]

_ENVELOPES: Final = {
    Signal.TRACES: "resource_spans",
    Signal.METRICS: "resource_metrics",
    Signal.LOGS: "resource_logs",
}


class ResourceProcessor:
    """Passes on what it gets, with changed resources; the very same bytes if nothing changed."""

    def __init__(self, config: ResourceConfig, consumer: Consumer) -> None:
        self._consumer = consumer
        self._changes = [
            *(_insert_text(key, value) for key, value in parse_attributes(config.attributes_from).items()),
            *(_change(action) for action in config.attributes),
        ]

    def start(self) -> None:
        """Nothing to start."""

    def shutdown(self) -> None:
        """Nothing to end."""

    def consume(self, data: Telemetry, /) -> None:
        """See `Consumer`."""
        self._consumer.consume(self._changed(data) if self._changes else data)

    def _changed(self, data: Telemetry) -> Telemetry:
        message = data.parse()
        changed = False
        for envelope in cast("Iterable[Any]", getattr(message, _ENVELOPES[data.signal])):
            for change in self._changes:
                changed |= change(envelope.resource)
        return data.with_message(message) if changed else data


def _insert_text(key: str, text: str) -> Change:
    return _change(ActionConfig(key=key, action="insert", value=text))


def _change(action: ActionConfig) -> Change:
    """Compile one action."""
    key = action.key
    if action.action == "delete":
        return lambda resource: _delete(resource, key)
    on_present = action.action in ("update", "upsert")
    on_absent = action.action in ("insert", "upsert")

    def change(resource: Any) -> bool:
        present = _find(resource, key)
        if not (on_absent if present is None else on_present):
            return False
        value = _value(resource, action)
        if value is None:
            return False
        if present is None:
            resource.attributes.add(key=key).value.CopyFrom(value)
            return True
        if present.value == value:
            return False
        present.value.CopyFrom(value)
        return True

    return change


def _value(resource: Any, action: ActionConfig) -> Any:
    """The AnyValue that `action` sets; None if the attribute to take it from is absent."""
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

    if action.from_attribute is not None:
        source = _find(resource, action.from_attribute)
        if source is None:
            return None
        copy = AnyValue()
        copy.CopyFrom(source.value)
        return copy
    match action.value:
        case bool(value):
            return AnyValue(bool_value=value)
        case int(value):
            return AnyValue(int_value=value)
        case float(value):
            return AnyValue(double_value=value)
        case str(value):
            return AnyValue(string_value=value)
        case None:
            return None


def _find(resource: Any, key: str) -> Any:
    return next((attribute for attribute in resource.attributes if attribute.key == key), None)


def _delete(resource: Any, key: str) -> bool:
    places = [index for index, attribute in enumerate(resource.attributes) if attribute.key == key]
    for index in reversed(places):
        del resource.attributes[index]
    return bool(places)
