"""Rules: which usage is priced how, among whom a cost is split, and whom it is attributed to.

A rule does one of four things, by the section it has:

* `origin` (usually with `split`): something that costs as a whole, such as a node, is divided among those that use it;
* `tokens`: spans of calls of language models are priced by their tokens, or by the cost that they report;
* `quantities`: spans are priced by what is counted of them, such as invocations and memory × time;
* `parent`: what another rule has given to a workload is divided among its requests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

from collector.config.diagnostics import Place
from collector.config.option import Invalid, option
from collector.config.types import Duration
from collector.cost.dimensions import owner
from collector.cost.metered import Quantity
from collector.cost.units import TIME, Unit
from collector.cost.usage import Series

SpanKind = Literal["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_WEIGHT: Final = re.compile(r"self_time|count|sum:\S+")
_IDLE_WORDS: Final = ("keep", "weighted", "even")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchConfig:
    """Which spans a rule is about; everything given must hold."""

    signal: Literal["span", "metric"] = option("span", doc="What is looked at.")
    kind: tuple[SpanKind, ...] = option((), doc="Span kinds; any if none is given.")
    any: tuple[str, ...] = option((), doc="Attributes of which at least one is there.")
    attributes: Mapping[str, str] = option(default_factory=dict, doc="Globs by attribute.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginConfig:
    """Something that costs as a whole: at a price for its hours or its capacity, or as a line of a bill."""

    per: str = option(doc="The attribute whose every value is one such thing.", example="k8s.node.name")
    price: tuple[str, ...] | str = option(
        (), doc="Price ids; the first whose `match` fits the thing is taken."
    )
    prices: Mapping[str, str] = option(
        default_factory=dict, doc="Instead: a price for each element, which is then charged by its capacity."
    )
    bill: Mapping[str, str] = option(
        default_factory=dict,
        doc="Instead: charges of a bill, by globs on their columns; the column resource_id is the value of `per`.",
    )
    quantity: Literal["hours_present"] = option("hours_present", doc="What is multiplied by the price.")
    presence: str | None = option(
        None,
        doc="A metric that shows that the thing is there; the capacity of an element if it is not given.",
    )

    @property
    def price_ids(self) -> tuple[str, ...]:
        """The ids in `price`."""
        return (self.price,) if isinstance(self.price, str) else self.price

    def validate(self) -> Iterator[Invalid]:
        """Check that there is one way to its cost."""
        given = [name for name in ("price", "prices", "bill") if getattr(self, name)]
        if len(given) != 1:
            yield Invalid(given[1] if given else "price", "give one of price, prices and bill")
        try:
            if self.presence is not None:
                Series.parse(self.presence)
        except ValueError as error:
            yield Invalid("presence", str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementConfig:
    """One thing of which there is so much, such as cores: `metric` or `metric(aggregation)`."""

    usage: str | None = option(None, doc="How much is used.", example="k8s.pod.cpu.time(rate)")
    request: str | None = option(None, doc="How much is reserved.")
    capacity: str | None = option(None, doc="How much there is, of the whole; without it nothing is idle.")
    unit: str = option(doc="Unit of a quantity over time: Core-Hours, GiB-Hours.", example="Core-Hours")

    def validate(self) -> Iterator[Invalid]:
        """Check metrics and unit."""
        for name in ("usage", "request", "capacity"):
            text: str | None = getattr(self, name)
            try:
                if text is not None:
                    Series.parse(text)
            except ValueError as error:
                yield Invalid(name, str(error))
        if self.usage is None and self.request is None:
            yield Invalid("usage", "an element needs usage or request")
        try:
            if TIME not in Unit.parse(self.unit).kinds:
                yield Invalid("unit", f"{self.unit!r} has no time in it, as in Core-Hours")
        except ValueError as error:
            yield Invalid("unit", str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """How an origin is divided."""

    method: Literal["max-request-usage", "usage", "request", "even", "even-shared", "proportional-shared"] = (
        option(
            "max-request-usage",
            doc="By the larger of request and usage, by one of them, or equally; the last two divide a shared cost among "
            "the subjects of the rules in `among`, equally or by their costs.",
        )
    )
    elements: Mapping[str, ElementConfig] = option(default_factory=dict, doc="What is used of it.")
    weights: Mapping[str, Decimal] = option(
        default_factory=dict,
        doc="Relative price of a unit of each element; the price's split_weights if not given.",
    )
    member: str = option("k8s.pod.uid", doc="The attribute whose every value is one that shares in it.")
    overcommit: Literal["scale"] = option(
        "scale", doc="What happens when more is allocated than there is: all shrink alike."
    )
    idle: str = option("keep", doc="keep, weighted, even, or to:team=platform.")
    among: tuple[str, ...] = option((), doc="Rules whose subjects share a shared cost.")

    @property
    def shared(self) -> bool:
        """Whether it divides a shared cost among the subjects of other rules."""
        return self.method in {"even-shared", "proportional-shared"}

    def validate(self) -> Iterator[Invalid]:
        """Check what the method needs."""
        if self.shared != bool(self.among):
            yield Invalid(
                "among", "names the rules whose subjects share a shared cost, and only those methods use it"
            )
        if not self.shared and not self.elements:
            yield Invalid("elements", f"method {self.method} needs elements that say who uses it")
        for name, element in self.elements.items():
            for word in ("usage", "request"):
                if self.method == word and getattr(element, word) is None:
                    yield Invalid(f"elements.{name}", f"method {word} needs {word}")
        for name in self.weights:
            if name not in self.elements:
                yield Invalid(f"weights.{name}", f"there is no element {name!r}")
        if self.idle not in _IDLE_WORDS:
            try:
                if not self.idle.startswith("to:"):
                    raise ValueError(f"{self.idle!r} is not one of keep, weighted, even, to:team=…")
                owner(self.idle.removeprefix("to:"))
            except ValueError as error:
                yield Invalid("idle", str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensConfig:
    """Calls of language models."""

    input_includes_cache: Literal["auto", "true", "false"] = option(
        "auto",
        doc="Whether the number of input tokens counts those read from and written to a cache, as OpenTelemetry says. "
        "auto: it does, unless they are more than it.",
    )
    reported_cost: Literal["prefer", "ignore"] = option(
        "prefer",
        doc="Whether a cost that a span reports counts before the price book; a provider's before a client's.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentConfig:
    """Which parts are divided further."""

    rule: str = option(doc="The rule that made them.", example="k8s-node")
    join: str = option(
        "k8s.pod.uid", doc="The attribute that says which part a span belongs to: the split's member."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleConfig:
    """One rule. A change of its meaning is a new `version`; what it has closed stays as it was."""

    id: str = option(doc="Its name.", example="k8s-node")
    version: int = option(1, doc="Counts up when its meaning changes.", minimum=1, maximum=2**32 - 1)
    match: MatchConfig = option(MatchConfig(), doc="Which spans it is about.")
    origin: OriginConfig | None = option(None, doc="What costs as a whole.")
    split: SplitConfig | None = option(None, doc="How that is divided.")
    tokens: TokensConfig | None = option(None, doc="Calls of language models, by tokens.")
    quantities: Mapping[str, str] = option(
        default_factory=dict,
        doc="Meter -> what is counted of a span: count, duration, an attribute, or products of these.",
        example="{memory-time: faas.max_memory * duration, requests: count}",
    )
    granularity: Duration = option(
        Duration(0), doc="What durations are rounded up to, as providers bill them."
    )
    parent: ParentConfig | None = option(None, doc="Which parts are divided further.")
    weight: str = option("self_time", doc="What a request weighs: self_time, count, or sum:attribute.")
    basis: Literal["measured", "spread"] = option(
        "measured",
        doc="measured: against what the workload was given, the rest is idle; spread: all to requests.",
    )
    group_by: tuple[str, ...] = option(
        ("service", "tenant", "operation"), doc="What makes a group of requests."
    )
    groups_max: int = option(
        1000, doc="Most groups of one part; those that weigh least become one.", minimum=1
    )
    spans_max: int = option(
        0,
        doc="Single requests of one part that get a record of their own, those that weigh most; all others are one, "
        "`__other__`. 0: groups, no single requests.",
        minimum=0,
        maximum=10_000,
    )
    attribute_to: tuple[str, ...] = option(
        ("service", "team", "tenant", "environment"), doc="Dimensions or attributes of the subjects."
    )
    place: Place | None = field(init=False, default=None, compare=False, repr=False)  # where it is written

    def validate(self) -> Iterator[Invalid]:
        """Check that it does one thing."""
        if not _ID.fullmatch(self.id):
            yield Invalid("id", f"{self.id!r} is not a name: letters, digits, '_', '.' and '-'")
        sections = [name for name in ("origin", "tokens", "quantities", "parent") if getattr(self, name)]
        if len(sections) != 1:
            yield Invalid(
                sections[1] if sections else "id", "a rule has one of origin, tokens, quantities and parent"
            )
        if self.split is not None and self.origin is None:
            yield Invalid("split", "divides an origin, and there is none")
        if self.origin is not None and self.origin.prices:
            elements = self.split.elements if self.split is not None else {}
            for name in self.origin.prices:
                if name not in elements:
                    yield Invalid(f"origin.prices.{name}", f"split.elements has no element {name!r}")
                elif elements[name].capacity is None:
                    yield Invalid(f"split.elements.{name}", "needs capacity, by which it is charged")
        for meter, text in self.quantities.items():
            try:
                Quantity.parse(text)
            except ValueError as error:
                yield Invalid(f"quantities.{meter}", str(error))
        if not _WEIGHT.fullmatch(self.weight):
            yield Invalid("weight", f"{self.weight!r} is not one of self_time, count, sum:<attribute>")
        if self.spans_max and self.parent is None:
            yield Invalid("spans_max", "is of requests, among which a rule with parent divides")
        if self.parent is not None and self.basis == "measured" and self.weight != "self_time":
            yield Invalid(
                "basis", f"what was given is a time, which {self.weight} cannot be measured against: spread"
            )
