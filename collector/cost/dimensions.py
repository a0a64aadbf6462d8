"""From attributes to subjects: which attribute says the service, the team, the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from collector.cost.match import Attributes
from collector.cost.record import Subject, SubjectKind

# Dimension -> attributes, of which the first that is there counts. OpenTelemetry has none for team and tenant.
DEFAULT_DIMENSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "service": ("service.name",),
    "environment": ("deployment.environment.name", "deployment.environment"),
    "team": ("team.name", "k8s.namespace.label.team", "k8s.pod.label.team"),
    "tenant": ("tenant.id", "app.tenant.id"),
    "workload": (
        "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name",
        "k8s.replicaset.name",
    ),
    "operation": ("http.route", "rpc.method", "db.operation.name", "messaging.operation.name", "faas.name"),
}  # fmt: skip

_DIMENSION_FIELDS: Final[Mapping[str, str]] = {
    "service": "service_name", "environment": "environment", "team": "team", "tenant": "tenant",
    "workload": "k8s_workload", "operation": "operation",
}  # fmt: skip
_ATTRIBUTE_FIELDS: Final[Mapping[str, str]] = {
    "service.name": "service_name", "service.namespace": "service_namespace",
    "k8s.cluster.name": "k8s_cluster", "k8s.node.name": "k8s_node", "k8s.namespace.name": "k8s_namespace",
    "k8s.pod.uid": "k8s_pod_uid", "k8s.pod.name": "k8s_pod", "k8s.container.name": "k8s_container",
}  # fmt: skip
NOBODY: Final = Subject()
_WORKLOAD_KINDS: Final = ("deployment", "statefulset", "daemonset", "cronjob", "job", "replicaset")


class Dimensions:
    """Reads subjects from attributes. A name is a dimension's or, if there is none of it, an attribute's."""

    def __init__(self, configured: Mapping[str, Sequence[str]]) -> None:
        self._attributes = {**DEFAULT_DIMENSIONS, **configured}

    def attributes_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the attributes that decide over `names`: what a caller has to group by."""
        found = (key for name in names for key in self._attributes.get(name, (name,)))
        return tuple(dict.fromkeys(found))

    def value(self, name: str, attributes: Attributes) -> str:
        """Return the value of a dimension or an attribute; empty if there is none."""
        for key in self._attributes.get(name, (name,)):
            if value := attributes.get(key):
                return value
        return ""

    def subject(
        self, kind: SubjectKind, names: Sequence[str], attributes: Attributes, within: Subject = NOBODY
    ) -> Subject:
        """Return who `attributes` are of, as far as `names` ask. What has no field becomes a label.

        Args:
            kind: What it is.
            names: Dimensions and attributes.
            attributes: Of what was measured.
            within: What it is a part of: what `attributes` do not say is as there.
        """
        values: dict[str, Any] = {}
        labels: dict[str, str] = {}
        for name in names:
            value = self.value(name, attributes)
            if not value:
                continue
            field = _DIMENSION_FIELDS.get(name) or _ATTRIBUTE_FIELDS.get(name)
            if field is None:
                labels[name] = value
            else:
                values.setdefault(field, value)
            if name == "workload":
                values["k8s_workload_kind"] = self._workload_kind(attributes)
        return replace(within, kind=kind, labels={**within.labels, **labels}, **values)

    def _workload_kind(self, attributes: Attributes) -> str:
        key = next((key for key in self._attributes["workload"] if attributes.get(key)), "")
        parts = key.split(".")
        return parts[1] if len(parts) == 3 and parts[1] in _WORKLOAD_KINDS else ""


def owner(text: str) -> Subject:
    """Return the idle subject that `team=platform` means.

    Raises:
        ValueError: it is not `dimension=value`, or there is no such dimension.
    """
    name, equals, value = text.partition("=")
    field = _DIMENSION_FIELDS.get(name)
    if not equals or not value or field is None:
        known = ", ".join(_DIMENSION_FIELDS)
        raise ValueError(f"{text!r} names no owner: write it like team=platform, with one of {known}")
    values: dict[str, Any] = {field: value}
    return Subject(kind=SubjectKind.IDLE, **values)


def subject_fields(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields of a subject that `names` stand for, and those of them that are labels."""
    known = {**_DIMENSION_FIELDS, **_ATTRIBUTE_FIELDS}
    fields = [known[name] for name in names if name in known]
    if "workload" in names:
        fields.append("k8s_workload_kind")
    return tuple(dict.fromkeys(fields)), tuple(name for name in names if name not in known)
