"""OpenCost's answers as JSON: the same names and envelopes, with exact numbers unless rounding is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from collector.cost.amount import ZERO, amount_text
from collector.cost.opencost.allocation import Allocation, AllocationSets
from collector.cost.opencost.query import AllocationQuery
from collector.cost.opencost.resources import RESOURCES
from collector.cost.record import Period

_SECOND_NS: Final = 1_000_000_000
_FIVE_PLACES: Final = Decimal("0.00001")  # OpenCost's answers have five decimals
_ROUNDING: Final = Context(prec=80, rounding=ROUND_HALF_UP)
# What `/allocation/summary` has of an allocation (OpenCost, SummaryAllocationResponse).
_SUMMARY: Final = (
    "name", "start", "end", "cpuCoreRequestAverage", "cpuCoreUsageAverage", "cpuCost", "cpuCostIdle",
    "gpuRequestAverage", "gpuUsageAverage", "gpuCost", "gpuCostIdle", "networkCost", "loadBalancerCost", "pvCost",
    "ramByteRequestAverage", "ramByteUsageAverage", "ramCost", "ramCostIdle", "sharedCost", "externalCost",
    "totalEfficiency", "totalCost",
)  # fmt: skip


def answer(sets: AllocationSets, query: AllocationQuery) -> Iterator[bytes]:
    """`{"code":200,"status":"success","data":[{name: allocation, …}, …]}`, one map for each set, piece by piece."""
    yield b'{"code":200,"status":"success","data":['
    for number, (period, rows) in enumerate(sets.finish()):
        yield b",{" if number else b"{"
        for place, row in enumerate(rows):
            text = f"{_encode(row.name, query.rounded)}:{_encode(_fields(row, period), query.rounded)}"
            yield f",{text}".encode() if place else text.encode()
        yield b"}"
    yield b"]}"


def summary(sets: AllocationSets, query: AllocationQuery) -> Iterator[bytes]:
    """`…"data":{"step":…,"sets":[{"allocations":{name: …},"window":{…}}, …],"window":{…}}}`, piece by piece.

    `step` is in nanoseconds, as Go writes a duration: the length of the first set.
    """
    first = True
    for period, rows in sets.finish():
        if first:
            yield f'{{"code":200,"status":"success","data":{{"step":{period.length_ns},"sets":['.encode()
        yield b'{"allocations":{' if first else b',{"allocations":{'
        first = False
        for place, row in enumerate(rows):
            fields = _fields(row, period)
            text = f"{_encode(row.name, query.rounded)}:{_encode({name: fields[name] for name in _SUMMARY}, query.rounded)}"
            yield f",{text}".encode() if place else text.encode()
        yield f'}},"window":{_encode(_window(period), query.rounded)}}}'.encode()
    yield f'],"window":{_encode(_window(query.window), query.rounded)}}}}}'.encode()


def error(status: int, message: str) -> bytes:
    """How OpenCost says that something is wrong."""
    return msgspec.json.encode({"code": status, "message": message}) + b"\n"


def _window(period: Period) -> dict[str, Any]:
    return {"start": _time(period.start_unix_nano), "end": _time(period.end_unix_nano)}


def _fields(row: Allocation, period: Period) -> dict[str, Any]:
    minutes = _ratio(period.length_ns, 60 * _SECOND_NS)
    hours = _ratio(period.length_ns, 3600 * _SECOND_NS)
    start, end = _time(period.start_unix_nano), _time(period.end_unix_nano)
    costs = {name: row.resources.costs.get(name, ZERO) for name in RESOURCES}
    used = {name: row.resources.hours.get(name, ZERO) for name in RESOURCES}
    return {
        "name": row.name,
        "properties": row.properties,
        "window": _window(period),
        "start": start,
        "end": end,
        "minutes": minutes,
        "cpuCores": _DIVIDING.divide(used["cpu"], hours),
        "cpuCoreRequestAverage": None,
        "cpuCoreUsageAverage": None,
        "cpuCoreHours": used["cpu"],
        "cpuCost": costs["cpu"],
        "cpuCostAdjustment": ZERO,
        "cpuCostIdle": row.idle.get("cpu", ZERO),
        "cpuEfficiency": None,
        "gpuCount": _DIVIDING.divide(used["gpu"], hours),
        "gpuRequestAverage": None,
        "gpuUsageAverage": None,
        "gpuHours": used["gpu"],
        "gpuCost": costs["gpu"],
        "gpuCostAdjustment": ZERO,
        "gpuCostIdle": row.idle.get("gpu", ZERO),
        "gpuEfficiency": None,
        "networkTransferBytes": None,
        "networkReceiveBytes": None,
        "networkCost": costs["network"],
        "networkCrossZoneCost": ZERO,
        "networkCrossRegionCost": ZERO,
        "networkInternetCost": ZERO,
        "networkCostAdjustment": ZERO,
        "loadBalancerCost": costs["loadBalancer"],
        "loadBalancerCostAdjustment": ZERO,
        "pvBytes": None,
        "pvByteHours": None,
        "pvCost": costs["pv"],
        "pvs": None,
        "pvCostAdjustment": ZERO,
        "ramBytes": _DIVIDING.divide(used["ram"], hours),
        "ramByteRequestAverage": None,
        "ramByteUsageAverage": None,
        "ramByteHours": used["ram"],
        "ramCost": costs["ram"],
        "ramCostAdjustment": ZERO,
        "ramCostIdle": row.idle.get("ram", ZERO),
        "ramEfficiency": None,
        "externalCost": costs["external"],
        "sharedCost": row.shared,
        "totalCost": row.total,
        "totalEfficiency": None,
        "rawAllocationOnly": None,
        "proportionalAssetResourceCosts": {},
        "lbAllocations": None,
        "sharedCostBreakdown": {},
    }


_DIVIDING: Final = Context(prec=30)


def _ratio(units: int, unit: int) -> Decimal:
    return _DIVIDING.divide(Decimal(units), Decimal(unit))


def _time(unix_nano: int) -> str:
    return datetime.fromtimestamp(unix_nano // _SECOND_NS, UTC).isoformat().replace("+00:00", "Z")


def _encode(value: Any, rounded: bool) -> str:
    """JSON, with decimals as numbers in full."""
    match value:
        case Decimal():
            return amount_text(value.quantize(_FIVE_PLACES, context=_ROUNDING) if rounded else value)
        case dict():
            return f"{{{','.join([f'{_key(k)}:{_encode(v, rounded)}' for k, v in value.items()])}}}"
        case list():
            return f"[{','.join([_encode(item, rounded) for item in value])}]"
        case _:
            return msgspec.json.encode(value).decode()


@lru_cache(maxsize=1024)
def _key(text: str) -> str:
    return msgspec.json.encode(text).decode()
