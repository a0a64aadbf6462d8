"""Which field of a record is which column: one table, read by the writers and by the importer.

Columns that FOCUS has and a record has no field for stay in `Charge.columns` by their names. What a record has and
FOCUS has no column for goes to `x_` columns of ours.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from collector.cost.focus.columns import BY_NAME, SUMMABLE
from collector.cost.record import (
    AMOUNTS,
    PRICES,
    Charge,
    ChargeCategory,
    CostSource,
    Level,
    Subject,
    SubjectKind,
)

SECOND_NS: Final = 1_000_000_000


class FocusExportError(ValueError):
    """A record cannot be written as FOCUS. The message names the record and the remedy."""


def pascal(name: str) -> str:
    """`billing_account_id` as `BillingAccountId`."""
    return "".join(part.capitalize() for part in name.split("_"))


# Field of `Charge`: column, for all that are texts and have a column of the same name.
CHARGE_TEXTS: Final[dict[str, str]] = {
    item.name: pascal(item.name) for item in fields(Charge) if item.type == "str"
}
CHARGE_PRICES: Final[dict[str, str]] = {name: pascal(name) for name in PRICES}
AMOUNT_COLUMNS: Final[dict[str, str]] = {name: pascal(name) for name in AMOUNTS}
PERIODS: Final = (("charge_period", "ChargePeriod"), ("billing_period", "BillingPeriod"))
CHARGE_MAPS: Final[dict[str, str]] = {"sku_price_details": "SkuPriceDetails", "tags": "Tags"}

CATEGORY_TEXT: Final[dict[ChargeCategory, str]] = {item: item.name.capitalize() for item in ChargeCategory}
KIND_TEXT: Final[dict[SubjectKind, str]] = {item: pascal(item.name.lower()) for item in SubjectKind}
SOURCE_TEXT: Final[dict[CostSource, str]] = {item: pascal(item.name.lower()) for item in CostSource}
LEVEL_TEXT: Final[dict[Level, str]] = {item: item.name.capitalize() for item in Level}

# Field of `Subject`: our column, for those that are texts; beside them kind, ids and labels.
SUBJECT_TEXTS: Final[dict[str, str]] = {
    item.name: f"x_{pascal(item.name)}"
    for item in fields(Subject)
    if item.type == "str" and item.name not in ("resource_id", "resource_name")
}
# Field of the record: our column, for those that are bytes.
RECORD_IDS: Final[dict[str, str]] = {
    "record_id": "x_RecordId",
    "origin_id": "x_OriginId",
    "parent_record_id": "x_ParentRecordId",
    "corrects_record_id": "x_CorrectsRecordId",
}
RECORD_NUMBERS: Final[dict[str, str]] = {
    "revision": "x_Revision",
    "rule_version": "x_RuleVersion",
    "recorded_unix_nano": "x_RecordedUnixNano",
}
SUBJECT_IDS: Final[dict[str, str]] = {"trace_id": "x_TraceId", "span_id": "x_SpanId"}
KIND, LABELS, SOURCE, LEVEL = "x_SubjectKind", "x_Labels", "x_CostSource", "x_Level"
RULE, OTHER_COLUMNS = "x_RuleId", "x_OtherColumns"

# The origin's own amounts beside each of its parts, so that a file shows by itself that it adds up.
ORIGIN_AMOUNTS: Final[dict[str, str]] = {name: f"x_Origin{name}" for name in SUMMABLE}

ALLOCATED: Final = (
    "AllocatedMethodDetails",
    "AllocatedMethodId",
    "AllocatedResourceId",
    "AllocatedResourceName",
    "AllocatedTags",
)

# Columns that are ours or a field's: nothing in `Charge.columns` may take their place.
RESERVED: Final = frozenset(
    (
        *CHARGE_TEXTS.values(),
        *CHARGE_PRICES.values(),
        *AMOUNT_COLUMNS.values(),
        *(f"{column}{edge}" for _, column in PERIODS for edge in ("Start", "End")),
        "ChargeCategory",
        "ChargeClass",
        *ALLOCATED,
        *(f"x_{name}" for name in BY_NAME),
        *SUBJECT_TEXTS.values(),
        *RECORD_IDS.values(),
        *RECORD_NUMBERS.values(),
        *SUBJECT_IDS.values(),
        *ORIGIN_AMOUNTS.values(),
        KIND,
        LABELS,
        SOURCE,
        LEVEL,
        RULE,
        OTHER_COLUMNS,
    )
)

# Subject as tags (AllocatedTags), in OpenTelemetry's names.
SUBJECT_TAGS: Final[dict[str, str]] = {
    "service_name": "service.name",
    "service_namespace": "service.namespace",
    "environment": "deployment.environment.name",
    "team": "team",
    "tenant": "tenant",
    "k8s_cluster": "k8s.cluster.name",
    "k8s_node": "k8s.node.name",
    "k8s_namespace": "k8s.namespace.name",
    "k8s_pod_uid": "k8s.pod.uid",
    "k8s_pod": "k8s.pod.name",
    "k8s_container": "k8s.container.name",
}
# Subjects that are no resource: what is left over, or spread.
NOT_A_RESOURCE: Final = frozenset(
    (
        SubjectKind.UNSPECIFIED,
        SubjectKind.IDLE,
        SubjectKind.SHARED,
        SubjectKind.OVERHEAD,
        SubjectKind.UNALLOCATED,
        SubjectKind.OTHER,
    )
)
_PATH: Final = (
    "k8s_cluster",
    "k8s_namespace",
    "k8s_workload_kind",
    "k8s_workload",
    "k8s_pod",
    "k8s_pod_uid",
    "k8s_container",
    "service_namespace",
    "service_name",
    "environment",
    "team",
    "tenant",
    "operation",
)


def workload_tag(kind: str) -> str:
    """OpenTelemetry's name for a workload: `k8s.deployment.name`."""
    return f"k8s.{kind.lower() or 'workload'}.name"


def allocated_resource(subject: Subject) -> tuple[str, str]:
    """AllocatedResourceId and AllocatedResourceName of a subject; both empty for what is left over.

    The id is the one that a bill gave, or else the subject's path, from the cluster down to the operation.
    """
    if subject.resource_id:
        return subject.resource_id, subject.resource_name
    if subject.kind in NOT_A_RESOURCE:
        return "", ""
    path = [getattr(subject, name) for name in _PATH]
    path.extend(value.hex() for value in (subject.trace_id, subject.span_id))
    name = subject.resource_name or subject.k8s_workload or subject.k8s_pod or subject.service_name
    identity = "/".join(part for part in path if part)
    return identity, name if identity else ""


@lru_cache(maxsize=65536)
def time_text(unix_nano: int) -> str:
    """An instant as FOCUS writes it.

    Raises:
        FocusExportError: it is not a whole second.
    """
    seconds, rest = divmod(unix_nano, SECOND_NS)
    if rest:
        raise FocusExportError(
            f"the period's edge {unix_nano} ns is not a whole second, which FOCUS asks for"
        )
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
