"""A small ledger that balances to the last digit, as records."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from collector.cost.identity import identify
from collector.cost.record import (
    AllocationElement,
    Amounts,
    Charge,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    Subject,
    SubjectKind,
)

SECOND: Final = 10**9
HOUR: Final = 3600 * SECOND
NOW_UNIX_NANO: Final = 1_790_000_000 * SECOND
_MONTH: Final = Period(NOW_UNIX_NANO - 20 * 24 * HOUR, NOW_UNIX_NANO + 10 * 24 * HOUR)


def charge(
    service: str = "cart", *, start: int = NOW_UNIX_NANO, length: int = HOUR, **columns: Any
) -> Charge:
    """A node for an hour."""
    given: dict[str, Any] = {
        "charge_description": f"node of {service}",
        "charge_frequency": "Usage-Based",
        "list_unit_price": Decimal("1.00"),
        "contracted_unit_price": Decimal("0.9"),
        "pricing_unit": "Hours",
        "pricing_category": "Standard",
        "consumed_unit": "Hours",
        "service_provider_name": "Example Cloud",
        "invoice_issuer_name": "Example Cloud",
        "billing_account_id": "0042",
        "region_id": "eu-1",
        "service_category": "Compute",
        "service_subcategory": "Virtual Machines",
        "service_name": "Machines",
        "resource_id": f"node-{service}",
        "resource_type": "Node",
        "sku_id": "m5.xlarge",
        "sku_meter": "hours",
        "sku_price_id": "m5.xlarge.od",
        "sku_price_details": {"CoreCount": "4"},
        "tags": {"env": "prod", "☃": ""},
        "columns": {"RegionName": "Europe", "x_Project": "shop"},
    }
    return Charge(
        charge_period=Period(start, start + length),
        billing_period=_MONTH,
        billing_currency=columns.pop("billing_currency", "USD"),
        **{**given, **columns},
    )


def amounts(cost: str, quantity: str) -> Amounts:
    """All four costs alike, and both quantities."""
    number = Decimal(cost)
    return Amounts(
        billed_cost=number,
        effective_cost=number,
        list_cost=number,
        contracted_cost=number,
        pricing_quantity=Decimal(quantity),
        consumed_quantity=Decimal(quantity),
    )


def ledger(service: str = "cart", *, revision: int = 0, **of_charge: Any) -> list[CostAttributionRecord]:
    """An origin, its two allocations, and the two requests' groups of the first; and a meter without a price."""
    what = charge(service, **of_charge)
    origin_id = identify("origin", [service, what.charge_period.start_unix_nano])

    def record(
        level: Level, name: str, parent: bytes, subject: Subject, of: Amounts
    ) -> CostAttributionRecord:
        return CostAttributionRecord(
            record_id=identify(name, [origin_id, revision]),
            origin_id=origin_id,
            level=level,
            charge=what,
            amounts=of,
            source=CostSource.PRICE_BOOK,
            subject=subject,
            parent_record_id=parent,
            revision=revision,
            allocated_method_id="max-request-usage" if parent else "",
            allocated_elements=(AllocationElement(ratio=Decimal("0.5"), usage_unit="Core-Hours"),)
            if parent
            else (),
            rule_id="k8s-node",
            rule_version=3,
            recorded_unix_nano=NOW_UNIX_NANO + HOUR,
        )

    origin = record(Level.ORIGIN, "origin", b"", Subject(), amounts("1", "1"))
    pod = record(
        Level.ALLOCATION,
        "pod",
        origin.record_id,
        Subject(
            kind=SubjectKind.WORKLOAD,
            service_name=service,
            team="shop",
            environment="prod",
            k8s_namespace="shop",
            k8s_workload_kind="Deployment",
            k8s_workload=service,
            labels={"tier": "front"},
        ),
        amounts("0.333333333333333333", "0.333333333333333333"),
    )
    idle = record(
        Level.ALLOCATION,
        "idle",
        origin.record_id,
        Subject(kind=SubjectKind.IDLE),
        amounts("0.666666666666666667", "0.666666666666666667"),
    )
    tenants = [
        record(
            Level.REQUEST,
            f"tenant {name}",
            pod.record_id,
            Subject(
                kind=SubjectKind.REQUEST_GROUP,
                service_name=service,
                team="shop",
                environment="prod",
                tenant=name,
                operation="GET /cart",
                trace_id=bytes(range(16)),
                span_id=bytes(range(8)),
            ),
            amounts(cost, cost),
        )
        for name, cost in (("a", "0.333333333333333332"), ("b", "0.000000000000000001"))
    ]
    return [origin, pod, idle, *tenants, unpriced(service, **of_charge)]


def unpriced(service: str = "cart", **of_charge: Any) -> CostAttributionRecord:
    """Tokens of a model that the price book does not know."""
    return CostAttributionRecord(
        record_id=identify("unpriced", [service, of_charge.get("start", 0)]),
        origin_id=identify("unpriced origin", [service, of_charge.get("start", 0)]),
        level=Level.ORIGIN,
        charge=charge(
            service, **{**of_charge, "pricing_unit": "Tokens", "service_category": "AI and Machine Learning"}
        ),
        amounts=Amounts(pricing_quantity=Decimal(1000)),
        source=CostSource.UNPRICED,
    )


def hours(count: int, service: str = "cart") -> Iterator[list[CostAttributionRecord]]:
    """A ledger of each of the `count` hours before now, oldest first."""
    for hour in range(count, 0, -1):
        yield ledger(service, start=NOW_UNIX_NANO - hour * HOUR)
