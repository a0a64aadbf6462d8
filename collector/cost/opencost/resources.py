"""A cost by resource, as OpenCost has it (cpu, ram, gpu, …), adding up to the cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Final

from collector.cost.amount import ZERO, add, from_scaled, to_scaled
from collector.cost.opencost.allocated import Allocated, Who
from collector.cost.split import split

RESOURCES: Final = ("cpu", "ram", "gpu", "pv", "network", "loadBalancer", "external")
# Unit of an element before the hyphen: the resource, and how many of OpenCost's units (cores, bytes, GPUs) it is.
_UNITS: Final = {
    "Core": ("cpu", 1),
    "Cores": ("cpu", 1),
    "vCPU": ("cpu", 1),
    "Gpu": ("gpu", 1),
    "GPU": ("gpu", 1),
    "B": ("ram", 1),
    "KiB": ("ram", 2**10),
    "MiB": ("ram", 2**20),
    "GiB": ("ram", 2**30),
    "TiB": ("ram", 2**40),
    "KB": ("ram", 10**3),
    "MB": ("ram", 10**6),
    "GB": ("ram", 10**9),
    "TB": ("ram", 10**12),
}

_WIDE: Final = Context(prec=120)  # byte-hours have more digits than an amount may have


@dataclass(slots=True)
class Resources:
    """Costs, and hours of use (core-hours, byte-hours, GPU-hours), by resource; what is 0 is absent."""

    costs: dict[str, Decimal] = field(default_factory=dict)
    hours: dict[str, Decimal] = field(default_factory=dict)

    def add(self, other: Resources) -> None:
        """Add another's to these."""
        for name, cost in other.costs.items():
            self.costs[name] = add(self.costs.get(name, ZERO), cost)
        for name, hours in other.hours.items():
            self.hours[name] = _WIDE.add(self.hours.get(name, ZERO), hours)

    @property
    def total(self) -> Decimal:
        """The sum of the costs."""
        result = ZERO
        for cost in self.costs.values():
            result = add(result, cost)
        return result


def resources_of(one: Allocated) -> Resources:
    """Divide a cost by the ratios of its elements; without them it is of what was charged for.

    The parts sum to the cost: the shares are of largest remainder.
    """
    found = Resources()
    weights: dict[str, int] = {}
    for element in one.elements:
        noun, _, time = element.usage_unit.partition("-")
        if noun not in _UNITS:
            weights.clear()
            break
        resource, size = _UNITS[noun]
        weights[resource] = weights.get(resource, 0) + to_scaled(element.ratio)
        if element.usage_quantity is not None and time in ("Hours", "Days"):
            hours = _WIDE.multiply(element.usage_quantity, Decimal(size * (24 if time == "Days" else 1)))
            found.hours[resource] = _WIDE.add(found.hours.get(resource, ZERO), hours)
    names = sorted(weights)
    parts = split(to_scaled(one.cost), [weights[name] for name in names], [name.encode() for name in names])
    if parts is None:
        found.costs[_charged(one.who)] = one.cost
    else:
        found.costs.update({name: from_scaled(part) for name, part in zip(names, parts, strict=True)})
    return found


def _charged(who: Who) -> str:
    match who.service_category:
        case "Storage":
            return "pv"
        case "Networking":
            balanced = "load balanc" in f"{who.resource_type} {who.service_name}".casefold()
            return "loadBalancer" if balanced else "network"
        case _:
            return "external"
