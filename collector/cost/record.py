"""`CostAttributionRecord`: who caused which cost. A record that exists is valid.

A record is made of four things, which is how FOCUS's rules for split costs become the shape of the data
(FOCUS 1.4, "Data Generator-Calculated Split Cost Allocation Handling"):

* `Charge`: what was charged for, at which prices. A part of a charge has the *same* charge: rules 2, 3 and 4.
* `Amounts`: costs and quantities. They are what is split, and the parts sum to the whole: rule 1.
* `Subject`: who caused it, which the charge never says.
* the ledger's own: ids, level, revision, rule, source.

Columns have FOCUS's names in snake case. A text that does not apply is empty (FOCUS's null), a number is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import IntEnum
from operator import attrgetter
from typing import Final

from collector.cost.amount import AmountError, checked
from collector.cost.currency import check_currency
from collector.cost.identity import ID_SIZE, Part, canonical

TRACE_ID_SIZE: Final = 16
SPAN_ID_SIZE: Final = 8
_UINT32_MAX: Final = 2**32 - 1
_UINT64_MAX: Final = 2**64 - 1


class Level(IntEnum):
    """How fine a record is. The parts of a record are of the next level; levels are never added to each other."""

    ORIGIN = 0
    ALLOCATION = 1
    REQUEST = 2


class ChargeCategory(IntEnum):
    """FOCUS ChargeCategory."""

    USAGE = 1
    PURCHASE = 2
    TAX = 3
    CREDIT = 4
    ADJUSTMENT = 5


class ChargeClass(IntEnum):
    """FOCUS ChargeClass. `NONE` is its null: an ordinary charge."""

    NONE = 0
    CORRECTION = 1


class SubjectKind(IntEnum):
    """Who a cost is attributed to, or why to nobody. `UNSPECIFIED`: of an origin, which is not attributed yet."""

    UNSPECIFIED = 0
    WORKLOAD = 1
    REQUEST_GROUP = 2
    SPAN = 3
    IDLE = 4
    SHARED = 5
    OVERHEAD = 6
    UNALLOCATED = 7
    OTHER = 8


class CostSource(IntEnum):
    """Where the amounts come from. `UNPRICED`: quantities are known and no price, so costs are None and never 0."""

    PRICE_BOOK = 1
    REPORTED_BY_PROVIDER = 2
    REPORTED_BY_CLIENT = 3
    INVOICE = 4
    RECONCILED = 5
    UNPRICED = 6


class RecordError(ValueError):
    """A record cannot be. `field` is its name in `proto/collector/cost/v1/cost.proto`."""

    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(f"{field_name}: {message}")
        self.field = field_name
        self.reason = message


def _check_decimals(holder: object, names: tuple[str, ...], prefix: str = "") -> None:
    for name in names:
        value = getattr(holder, name)
        if value is None:
            continue
        try:
            checked(value)
        except AmountError as error:
            raise RecordError(prefix + name, str(error)) from None


def _check_id(value: bytes, size: int, name: str, *, required: bool = False) -> None:
    if (value or required) and len(value) != size:
        raise RecordError(
            name, f"is {len(value)} bytes, expected {size} (in JSON {2 * size} hexadecimal digits)"
        )


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A half-open stretch of time: the start belongs to it, the end does not. In ns since 1970-01-01 UTC."""

    start_unix_nano: int
    end_unix_nano: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_unix_nano < self.end_unix_nano <= _UINT64_MAX:
            raise ValueError(
                f"a period from {self.start_unix_nano} to {self.end_unix_nano} has no time in it"
            )

    @property
    def length_ns(self) -> int:
        """Its length in nanoseconds, more than 0."""
        return self.end_unix_nano - self.start_unix_nano

    def holds(self, unix_nano: int) -> bool:
        """Whether an instant is in it."""
        return self.start_unix_nano <= unix_nano < self.end_unix_nano


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What is split. Costs are in the billing currency and known together or not at all."""

    billed_cost: Decimal | None = None
    effective_cost: Decimal | None = None
    list_cost: Decimal | None = None
    contracted_cost: Decimal | None = None
    pricing_quantity: Decimal | None = None
    consumed_quantity: Decimal | None = None
    commitment_discount_quantity: Decimal | None = None
    pricing_currency_effective_cost: Decimal | None = None

    def __post_init__(self) -> None:
        _check_decimals(self, AMOUNTS)
        known = [getattr(self, name) is not None for name in COSTS]
        if any(known) and not all(known):
            missing = COSTS[known.index(False)]
            raise RecordError(missing, f"is absent although {COSTS[known.index(True)]} is there")

    @property
    def is_priced(self) -> bool:
        """Whether its costs are known."""
        return self.effective_cost is not None


COSTS: Final = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")
QUANTITIES: Final = ("pricing_quantity", "consumed_quantity", "commitment_discount_quantity")
AMOUNTS: Final = (*COSTS, *QUANTITIES, "pricing_currency_effective_cost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What was charged for, by whom, to whom, at which prices: the same in all parts of a charge."""

    charge_period: Period
    billing_period: Period
    billing_currency: str  # ISO 4217
    charge_category: ChargeCategory = ChargeCategory.USAGE
    charge_class: ChargeClass = ChargeClass.NONE
    charge_description: str = ""
    charge_frequency: str = ""
    list_unit_price: Decimal | None = None
    contracted_unit_price: Decimal | None = None
    pricing_unit: str = ""
    pricing_category: str = ""
    consumed_unit: str = ""
    commitment_discount_unit: str = ""
    pricing_currency: str = ""
    pricing_currency_list_unit_price: Decimal | None = None
    pricing_currency_contracted_unit_price: Decimal | None = None
    service_provider_name: str = ""
    host_provider_name: str = ""
    invoice_issuer_name: str = ""
    invoice_id: str = ""
    billing_account_id: str = ""
    sub_account_id: str = ""
    region_id: str = ""
    availability_zone: str = ""
    service_category: str = ""
    service_subcategory: str = ""
    service_name: str = ""
    resource_id: str = ""
    resource_name: str = ""
    resource_type: str = ""
    sku_id: str = ""
    sku_meter: str = ""
    sku_price_id: str = ""
    sku_price_details: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)  # FOCUS's others and x_…, by name

    def __post_init__(self) -> None:
        try:
            check_currency(self.billing_currency)
        except ValueError as error:
            raise RecordError("billing_currency", str(error)) from None
        _check_decimals(self, PRICES)


PRICES: Final = (
    "list_unit_price",
    "contracted_unit_price",
    "pricing_currency_list_unit_price",
    "pricing_currency_contracted_unit_price",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who caused a cost. Subjects with equal fields are the same subject."""

    kind: SubjectKind = SubjectKind.UNSPECIFIED
    service_name: str = ""
    service_namespace: str = ""
    environment: str = ""
    team: str = ""
    tenant: str = ""
    k8s_cluster: str = ""
    k8s_node: str = ""
    k8s_namespace: str = ""
    k8s_workload_kind: str = ""
    k8s_workload: str = ""
    k8s_pod_uid: str = ""
    k8s_pod: str = ""
    k8s_container: str = ""
    operation: str = ""
    trace_id: bytes = b""
    span_id: bytes = b""
    labels: Mapping[str, str] = field(default_factory=dict)
    resource_id: str = ""  # FOCUS AllocatedResourceId where a bill gave it
    resource_name: str = ""
    # A binary form that two subjects share only if they are equal: for ids, and to order them.
    key: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_id(self.trace_id, TRACE_ID_SIZE, "subject.trace_id")
        _check_id(self.span_id, SPAN_ID_SIZE, "subject.span_id")
        parts: list[Part] = [int(self.kind)]
        for name, value in zip(SUBJECT_FIELDS, _values(self), strict=True):
            if value:
                parts += (name, value)
        object.__setattr__(self, "key", canonical(parts))


SUBJECT_FIELDS: Final = tuple(item.name for item in fields(Subject) if item.init and item.name != "kind")
_values: Final = attrgetter(*SUBJECT_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationElement:
    """One element of how a part was found (FOCUS AllocatedMethodDetails). All of a parent's parts sum to ratio 1."""

    ratio: Decimal
    usage_unit: str = ""
    usage_quantity: Decimal | None = None

    def __post_init__(self) -> None:
        _check_decimals(self, ("ratio", "usage_quantity"), "allocated_elements.")
        if not 0 <= self.ratio <= 1:
            raise RecordError("allocated_elements.ratio", f"{self.ratio} is not between 0 and 1")
        if self.usage_quantity is not None and not self.usage_unit:
            raise RecordError("allocated_elements.usage_unit", "is absent although there is a quantity")


@dataclass(frozen=True, slots=True, kw_only=True)
class CostAttributionRecord:
    """One row of the ledger.

    Raises:
        RecordError: on construction, if it could not be: an id of a wrong length, a level without its parent, costs
            that contradict the source. The parts raise likewise: a bad amount, currency or period.
    """

    record_id: bytes
    origin_id: bytes
    level: Level
    charge: Charge
    amounts: Amounts
    source: CostSource
    subject: Subject = field(default_factory=Subject)
    parent_record_id: bytes = b""
    corrects_record_id: bytes = b""
    revision: int = 0
    allocated_method_id: str = ""
    allocated_elements: tuple[AllocationElement, ...] = ()
    rule_id: str = ""
    rule_version: int = 0
    recorded_unix_nano: int = 0

    def __post_init__(self) -> None:
        _check_id(self.record_id, ID_SIZE, "record_id", required=True)
        _check_id(self.origin_id, ID_SIZE, "origin_id", required=True)
        _check_id(self.parent_record_id, ID_SIZE, "parent_record_id", required=self.level > Level.ORIGIN)
        _check_id(self.corrects_record_id, ID_SIZE, "corrects_record_id")
        if self.level is Level.ORIGIN and self.parent_record_id:
            raise RecordError("parent_record_id", "an origin is a part of nothing")
        if self.level is not Level.ORIGIN and self.subject.kind is SubjectKind.UNSPECIFIED:
            raise RecordError("subject.kind", f"a record of level {self.level.name.lower()} says whose it is")
        if (self.source is CostSource.UNPRICED) == self.amounts.is_priced:
            what = "has costs" if self.amounts.is_priced else "has no costs, which only an unpriced one may"
            raise RecordError("source", f"a record from source {self.source.name.lower()} {what}")
        if self.corrects_record_id and self.charge.charge_class is not ChargeClass.CORRECTION:
            raise RecordError("corrects_record_id", "is of a record whose charge_class is not CORRECTION")
        for name, most in (
            ("revision", _UINT32_MAX),
            ("rule_version", _UINT32_MAX),
            ("recorded_unix_nano", _UINT64_MAX),
        ):
            if not 0 <= getattr(self, name) <= most:
                raise RecordError(name, f"{getattr(self, name)} is not between 0 and {most}")

    def __hash__(self) -> int:
        return hash(self.record_id)
