"""The parameters of OpenCost's `GET /allocation`, and what they may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from collector.cost.opencost.window import QueryError, parse_step, parse_window
from collector.cost.record import COSTS, Period

_TRUE: Final = frozenset(("true", "1", "t"))
_FALSE: Final = frozenset(("false", "0", "f", ""))
PROPERTIES: Final = (
    "cluster", "node", "container", "controller", "controllerKind", "namespace", "pod", "providerID", "service",
    "deployment", "statefulset", "daemonset", "job", "department", "environment", "owner", "product", "team",
)  # fmt: skip
DEFAULT_AGGREGATE: Final = ("cluster", "node", "namespace", "pod", "container")
_KEYED: Final = re.compile(r"(label|annotation):(.+)")
_UNITS: Final = ("hour", "day", "week", "month")
_BASES: Final = {name.removesuffix("_cost"): name for name in COSTS}

# Ours beside OpenCost's: basis, compat, currency.
PARAMETERS: Final = (
    "window", "step", "aggregate", "accumulate", "accumulateBy", "includeIdle", "idle", "idleByNode", "shareIdle",
    "shareNamespaces", "shareLabels", "shareSplit", "basis", "compat", "currency",
)  # fmt: skip
# OpenCost's that change nothing here, since costs are exact already and have no samples of their own.
_WITHOUT_EFFECT: Final = ("resolution", "offset")
_UNSUPPORTED: Final = {
    "filter": "aggregate, and filter the answer",
    "shareCost": "put the cost into the price book",
    "shareTenancyCosts": "put the cost into the price book",
    "sharelb": "load balancers are charges of their own here",
    "includeProportionalAssetResourceCosts": "the shares are in AllocatedMethodDetails of the FOCUS export",
    "includeAggregatedMetadata": "aggregate by the label",
    "splitIdle": "use idleByNode",
    "reconcile": "stored costs are reconciled when a bill is imported",
    "format": "use the FOCUS export for CSV",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationQuery:
    """A question. `sets`: `step_s` (seconds), a calendar unit, or with both None the whole window as one set.

    `aggregate`: properties, `label:x`; empty for `all`. `share_split`: None where shared costs keep a row of their
    own. `basis`: field of `Amounts`.
    """

    window: Period
    step_s: int | None = None
    accumulate_by: str | None = None
    aggregate: tuple[str, ...] = DEFAULT_AGGREGATE
    include_idle: bool = True
    idle_by_node: bool = False
    share_idle: bool = False
    share_namespaces: frozenset[str] = frozenset()
    share_labels: frozenset[tuple[str, str]] = frozenset()
    share_split: str | None = None
    basis: str = "effective_cost"
    rounded: bool = False
    currency: str | None = None


def parse_query(parameters: Mapping[str, str], now_unix_nano: int) -> AllocationQuery:
    """Read the parameters of a request.

    Raises:
        QueryError: one is missing, unknown, not offered, or wrong.
    """
    for name, text in parameters.items():
        if name in _UNSUPPORTED:
            if text.lower() in _FALSE:
                continue  # a dashboard that asks for nothing by it
            raise QueryError(name, f"is not offered; {_UNSUPPORTED[name]}")
        if name not in PARAMETERS and name not in _WITHOUT_EFFECT:
            near = get_close_matches(name, PARAMETERS, 1)
            raise QueryError(name, "is not a parameter" + (f"; is {near[0]} meant?" if near else ""))
    if not parameters.get("window"):
        raise QueryError("window", "is required, for instance window=7d")
    by = _accumulate(parameters)
    step = parameters.get("step")
    namespaces = frozenset(filter(None, parameters.get("shareNamespaces", "").split(",")))
    labels = _labels(parameters.get("shareLabels", ""))
    return AllocationQuery(
        window=parse_window(parameters["window"], now_unix_nano),
        step_s=parse_step(step) if step and by is None else None,
        accumulate_by=None if by == "all" else by,
        aggregate=_aggregate(parameters.get("aggregate", "")),
        include_idle=_flag(parameters, "idle" if "idle" in parameters else "includeIdle", True),
        idle_by_node=_flag(parameters, "idleByNode", False),
        share_idle=_share_idle(parameters.get("shareIdle", "")),
        share_namespaces=namespaces,
        share_labels=labels,
        share_split=_choice(parameters, "shareSplit", ("weighted", "even"))
        or ("weighted" if namespaces or labels else None),
        basis=_BASES[_choice(parameters, "basis", tuple(_BASES)) or "effective"],
        rounded=_choice(parameters, "compat", ("opencost",)) is not None,
        currency=parameters.get("currency") or None,
    )


def _accumulate(parameters: Mapping[str, str]) -> str | None:
    """`all`, a calendar unit, or None: one set for each step."""
    by = parameters.get("accumulateBy") or parameters.get("accumulate", "")
    if by in (*_UNITS, "all"):
        return by
    if "accumulateBy" in parameters and by:
        raise QueryError("accumulateBy", f"{by!r} is none of {', '.join(_UNITS)}, all")
    return "all" if _flag(parameters, "accumulate", False) else None


def _aggregate(text: str) -> tuple[str, ...]:
    if text == "all":
        return ()
    names = tuple(filter(None, (part.strip() for part in text.split(","))))
    for name in names:
        if name not in PROPERTIES and not _KEYED.fullmatch(name):
            near = get_close_matches(name, PROPERTIES, 1)
            hint = (
                f"; is {near[0]} meant?" if near else f"; there are {', '.join(PROPERTIES)}, label:<key>, all"
            )
            raise QueryError("aggregate", f"{name!r} is not a property{hint}")
    return names or DEFAULT_AGGREGATE


def _labels(text: str) -> frozenset[tuple[str, str]]:
    pairs = []
    for part in filter(None, text.split(",")):
        key, separator, value = part.partition(":")
        if not separator or not key:
            raise QueryError("shareLabels", f"{part!r} is not of the form key:value")
        pairs.append((key, value))
    return frozenset(pairs)


def _share_idle(text: str) -> bool:
    if text in ("weighted", *_TRUE):
        return True
    if text in ("none", *_FALSE):
        return False
    raise QueryError("shareIdle", f"{text!r} is none of true, weighted, false")


def _flag(parameters: Mapping[str, str], name: str, default: bool) -> bool:
    text = parameters.get(name)
    if text is None:
        return default
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise QueryError(name, f"{text!r} is neither true nor false")


def _choice(parameters: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    text = parameters.get(name)
    if not text:
        return None
    if text not in choices:
        raise QueryError(name, f"{text!r} is none of {', '.join(choices)}")
    return text
