"""The `resource` processor: what each action does, and that nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.model.signal import OPENTELEMETRY, Signal
from collector.model.telemetry import Telemetry
from collector.processors.resource.config import ActionConfig, ResourceConfig
from collector.processors.resource.environment import parse_attributes
from collector.processors.resource.factory import FACTORY
from tests.support.components import RecordingConsumer, make_house
from tests.support.otlp_strategies import payloads

ENVELOPES = {
    Signal.TRACES: "resource_spans",
    Signal.METRICS: "resource_metrics",
    Signal.LOGS: "resource_logs",
}


def process(config: ResourceConfig, data: Telemetry) -> Telemetry:
    consumer = RecordingConsumer()
    processor = FACTORY.create(make_house("resource", "processor").settings, config, consumer)
    processor.start()
    processor.consume(data)
    processor.shutdown()
    (result,) = consumer.taken
    return result


def request(signal: Signal, *resources: dict[str, str]) -> Telemetry:
    message: Any = signal.request_type()()
    for attributes in resources:
        envelope = getattr(message, ENVELOPES[signal]).add()
        for key, text in attributes.items():
            envelope.resource.attributes.add(key=key).value.string_value = text
    return Telemetry(signal, message.SerializeToString(), 0)


def resources(data: Telemetry) -> list[dict[str, Any]]:
    return [
        {
            attribute.key: getattr(attribute.value, attribute.value.WhichOneof("value"))
            for attribute in envelope.resource.attributes
        }
        for envelope in getattr(data.parse(), ENVELOPES[data.signal])
    ]


@pytest.mark.parametrize("signal", OPENTELEMETRY)
@pytest.mark.parametrize(
    ("action", "present", "absent"),
    [
        ("insert", {"a": "old"}, {"a": "new"}),
        ("update", {"a": "new"}, {}),
        ("upsert", {"a": "new"}, {"a": "new"}),
        ("delete", {}, {}),
    ],
)
def test_action(signal: Signal, action: Any, present: dict[str, str], absent: dict[str, str]) -> None:
    """Each action on a resource with the attribute and on one without it, in every signal."""
    value = None if action == "delete" else "new"
    config = ResourceConfig(attributes=(ActionConfig(key="a", action=action, value=value),))
    data = process(config, request(signal, {"a": "old"}, {}))
    assert [present, absent] == resources(data)


@pytest.mark.parametrize("value", [True, False, 0, -(2**63), 1.5, "", "text"])
def test_values_keep_their_type(value: str | float | bool) -> None:
    """A number stays a number and a truth value is not a number."""
    config = ResourceConfig(attributes=(ActionConfig(key="a", action="insert", value=value),))
    (attributes,) = resources(process(config, request(Signal.LOGS, {})))
    assert (value, type(value)) == (attributes["a"], type(attributes["a"]))


def test_a_value_can_be_taken_from_another_attribute() -> None:
    """Where that is absent, nothing happens."""
    config = ResourceConfig(attributes=(ActionConfig(key="a", action="upsert", from_attribute="b"),))
    data = process(config, request(Signal.LOGS, {"a": "1", "b": "2"}, {"b": "2"}, {"a": "1"}))
    assert resources(data) == [{"a": "2", "b": "2"}, {"b": "2", "a": "2"}, {"a": "1"}]


def test_actions_are_made_in_their_order() -> None:
    """A rename is an upsert and a delete."""
    config = ResourceConfig(
        attributes=(
            ActionConfig(key="new", action="upsert", from_attribute="old"),
            ActionConfig(key="old", action="delete"),
        )
    )
    assert resources(process(config, request(Signal.TRACES, {"old": "x"}))) == [{"new": "x"}]


def test_attributes_from_the_environment_are_inserted_where_absent() -> None:
    """What the app says of itself wins over what the pod says of it; explicit actions win over both."""
    config = ResourceConfig(
        attributes_from="service.name=pod,k8s.pod.name=p-1,zone=a",
        attributes=(ActionConfig(key="zone", action="upsert", value="b"),),
    )
    data = process(config, request(Signal.METRICS, {"service.name": "app"}, {}))
    assert resources(data) == [
        {"service.name": "app", "k8s.pod.name": "p-1", "zone": "b"},
        {"service.name": "pod", "k8s.pod.name": "p-1", "zone": "b"},
    ]


@pytest.mark.parametrize("signal", OPENTELEMETRY)
@given(data=st.data())
def test_bytes_stay_the_same_when_nothing_changes(signal: Signal, data: st.DataObject) -> None:
    """Not equal: identical. The deletion of what is not there is no change."""
    payload = data.draw(payloads(signal, valid=True))
    config = ResourceConfig(attributes=(ActionConfig(key="no such attribute", action="delete"),))
    before = Telemetry(signal, payload, 1)
    assert process(config, before) is before


@pytest.mark.parametrize("signal", OPENTELEMETRY)
@given(data=st.data())
def test_insert_and_delete_leave_the_rest_as_it_was(signal: Signal, data: st.DataObject) -> None:
    """For any request: inserting an attribute and deleting it gives an equal request, with as many items."""
    payload = data.draw(payloads(signal, valid=True))
    config = ResourceConfig(attributes=(ActionConfig(key="no such key", action="insert", value=1),))
    undo = ResourceConfig(attributes=(ActionConfig(key="no such key", action="delete"),))
    before = Telemetry(signal, payload, 7)
    inserted = process(config, before)
    assert all(
        any(attribute.key == "no such key" for attribute in envelope.resource.attributes)
        for envelope in getattr(inserted.parse(), ENVELOPES[signal])
    )
    after = process(undo, inserted)
    expected: Any = before.parse()
    for envelope in getattr(expected, ENVELOPES[signal]):
        envelope.resource.SetInParent()
    assert (expected.SerializeToString(deterministic=True), 7) == (
        after.parse().SerializeToString(deterministic=True),
        after.items,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        (" a = 1 , b=2,", {"a": "1", "b": "2"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ("a=x%2Cy%3Dz%25,%C3%A9=%E2%82%AC", {"a": "x,y=z%", "é": "€"}),
        ("a=1,a=2", {"a": "2"}),
    ],
)
def test_attributes_text_is_read(text: str, expected: dict[str, str]) -> None:
    """`OTEL_RESOURCE_ATTRIBUTES`, as SDKs read it."""
    assert parse_attributes(text) == expected


@pytest.mark.parametrize("text", ["a", "=1", "a=1,b", "a=%", "a=%zz", "a=%FF", "a=%00"])
def test_attributes_text_that_is_broken_is_refused_as_a_whole(text: str) -> None:
    """Half of the attributes would be worse than a message."""
    with pytest.raises(ValueError, match=r"is not|has a"):
        parse_attributes(text)
    assert [finding.key for finding in ResourceConfig(attributes_from=text).validate()] == ["attributes_from"]


@pytest.mark.parametrize(
    ("action", "key"),
    [
        (ActionConfig(key="", action="delete"), "key"),
        (ActionConfig(key="a", action="insert"), "action"),
        (ActionConfig(key="a", action="insert", value=1, from_attribute="b"), "action"),
        (ActionConfig(key="a", action="delete", value=1), "action"),
        (ActionConfig(key="a", action="insert", value=2**63), "value"),
        (ActionConfig(key="a", action="insert", value="\0"), "value"),
    ],
)
def test_actions_that_make_no_sense_are_found(action: ActionConfig, key: str) -> None:
    """Each is reported at the option to change."""
    assert [finding.key for finding in action.validate()] == [key]
