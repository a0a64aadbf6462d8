"""Rows of the dimension tables: what a resource, a scope and a series is called and how it is described."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector.storage import identity
from collector.storage.parts import entity_refs_text
from collector.storage.rows import Row
from collector.storage.values import attributes_text

# Id of a series: `identity.series_id`, or another for tests of collisions.
SeriesId = Callable[[bytes, int], int]

_SERVICE: Final = ("service.name", "service.namespace", "service.instance.id")


def resource_row(resource: Resource, schema_url: str) -> Row:
    """A row of `otlp_resources`."""
    service = {
        attribute.key: attribute.value.string_value
        for attribute in resource.attributes
        if attribute.key in _SERVICE
    }
    return (
        identity.resource_id(resource, schema_url),
        *[service.get(key, "") for key in _SERVICE],
        attributes_text(resource.attributes, ordered=True),
        resource.dropped_attributes_count or None,
        entity_refs_text(resource.entity_refs) if resource.entity_refs else None,
        schema_url or None,
    )


def scope_row(scope: InstrumentationScope, schema_url: str) -> Row:
    """A row of `otlp_scopes`."""
    return (
        identity.scope_id(scope, schema_url),
        scope.name,
        scope.version,
        attributes_text(scope.attributes, ordered=True),
        scope.dropped_attributes_count or None,
        schema_url or None,
    )


def series_row(
    metric: Metric,
    kind: str,
    temporality: int | None,
    monotonic: bool | None,
    attributes: Sequence[KeyValue],
    service_name: str,
    resource_id: bytes,
    scope_id: bytes,
    *,
    series_id: SeriesId = identity.series_id,
) -> Row:
    """A row of `otlp_series`, under the id of its first choice. Of `metric` only what describes it is looked at."""
    prefix = identity.stream_prefix(metric.name, kind, metric.unit, temporality, monotonic)
    stream_id = identity.stream_id(prefix, attributes, resource_id, scope_id)
    digest = identity.series_digest(stream_id, metric.description, metric.metadata)
    return (
        series_id(digest, 0),
        digest,
        stream_id,
        metric.name,
        kind,
        metric.unit,
        temporality,
        monotonic,
        metric.description,
        attributes_text(metric.metadata, ordered=True) if metric.metadata else None,
        attributes_text(attributes, ordered=True),
        service_name,
        resource_id,
        scope_id,
    )
