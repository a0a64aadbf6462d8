"""Calls of language models: tokens and reported costs from spans, whatever library wrote them.

The table of dialects (`DialectConfig`) is configuration; `DEFAULT_DIALECTS` is what libraries do today. A span's tokens
are taken from the first dialect that finds any, its cost likewise.

Tokens become five meters of which each token is in exactly one:

    input        input tokens that were neither read from nor written to a cache
    cache_read   input tokens read from a cache
    cache_write  input tokens written to one
    output       output tokens that are not reasoning
    reasoning    output tokens of reasoning

OpenTelemetry counts cached tokens in the input and reasoning in the output (semantic-conventions-genai,
`gen_ai.usage.*`); counting them again is the most reported error in costs of language models. Not all emitters keep to
it, so a part that is larger than its whole is taken to be beside it, and counted as such.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

from collector.config.option import Invalid, option
from collector.cost.amount import SCALE, add, checked, total
from collector.cost.currency import CURRENCIES
from collector.cost.record import CostSource
from collector.cost.usage import TokenGroup

METERS: Final = ("input", "cache_read", "cache_write", "output", "reasoning")
PROVIDER: Final = "gen_ai.provider.name"  # what a group's provider and model are called, whatever the dialect
MODEL: Final = "gen_ai.response.model"
_UNIT: Final = Decimal(1).scaleb(-SCALE)
_TOKENS_MAX: Final = 10**12
_COST_MAX: Final = (
    10**9
)  # of one span, in its currency: more is an error of the emitter, and has too many digits
_JSON_MAX: Final = 10_000  # characters

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class DialectConfig:
    """Attributes that one library uses; of several for one thing, the first that is there counts."""

    name: str = option(doc="Its name.", example="openinference")
    provider: tuple[str, ...] = option((), doc="Who serves the model.")
    model: tuple[str, ...] = option((), doc="The model; of the response before the request's.")
    input: tuple[str, ...] = option((), doc="Input tokens.")
    output: tuple[str, ...] = option((), doc="Output tokens.")
    cache_read: tuple[str, ...] = option((), doc="Input tokens read from a cache.")
    cache_write: tuple[str, ...] = option(
        (), doc="Input tokens written to a cache; all that are there are added."
    )
    reasoning: tuple[str, ...] = option((), doc="Output tokens of reasoning.")
    cost: tuple[str, ...] = option((), doc="What the call cost.")
    cost_parts: tuple[str, ...] = option((), doc="Costs to be added where there is no `cost`.")
    currency: str = option("", doc="The attribute with the currency of the cost.")
    default_currency: str = option("USD", doc="The currency where no attribute says it.")
    source: str = option(
        "", doc="The attribute that says where the cost comes from; `provider` means the provider."
    )
    json: tuple[str, ...] = option(
        (), doc="Attributes that hold a JSON object; its fields count as attribute.field."
    )

    def validate(self) -> Iterator[Invalid]:
        """Check the currency."""
        if self.default_currency not in CURRENCIES:
            yield Invalid("default_currency", f"{self.default_currency!r} is not an ISO 4217 currency code")


_USAGE: Final = "langfuse.observation.usage_details"
_COSTS: Final = "langfuse.observation.cost_details"
_OTEL_MODEL: Final = ("gen_ai.response.model", "gen_ai.request.model")
_OTEL_PROVIDER: Final = ("gen_ai.provider.name", "gen_ai.system")

DEFAULT_DIALECTS: Final[tuple[DialectConfig, ...]] = (
    DialectConfig(
        name="opentelemetry",  # semantic-conventions-genai; the cost: its proposal 443
        provider=_OTEL_PROVIDER,
        model=_OTEL_MODEL,
        input=("gen_ai.usage.input_tokens",),
        output=("gen_ai.usage.output_tokens",),
        cache_read=("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
        cache_write=("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens"),
        reasoning=("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"),
        cost=("gen_ai.usage.cost.amount",),
        currency="gen_ai.usage.cost.currency",
        source="gen_ai.usage.cost.source",
    ),
    DialectConfig(name="openlit", cost=("gen_ai.usage.cost", "gen_ai.cost.amount")),  # and LiteLLM
    DialectConfig(
        name="openrouter",
        cost=("gen_ai.usage.total_cost",),
        cost_parts=("gen_ai.usage.input_cost", "gen_ai.usage.output_cost"),
    ),
    DialectConfig(name="logfire", cost=("operation.cost",)),
    DialectConfig(
        name="openinference",
        provider=("llm.provider", "llm.system"),
        model=("llm.model_name",),
        input=("llm.token_count.prompt",),
        output=("llm.token_count.completion",),
        cache_read=("llm.token_count.prompt_details.cache_read",),
        cache_write=("llm.token_count.prompt_details.cache_write",),
        reasoning=("llm.token_count.completion_details.reasoning",),
        cost=("llm.cost.total",),
        cost_parts=("llm.cost.prompt", "llm.cost.completion"),
    ),
    DialectConfig(
        name="langfuse",
        provider=_OTEL_PROVIDER,
        model=("langfuse.observation.model.name", *_OTEL_MODEL),
        json=(_USAGE, _COSTS),
        input=(f"{_USAGE}.input",),
        output=(f"{_USAGE}.output",),
        cache_read=(f"{_USAGE}.cache_read_input_tokens", f"{_USAGE}.input_cached_tokens"),
        cache_write=(f"{_USAGE}.cache_creation_input_tokens",),
        reasoning=(f"{_USAGE}.output_reasoning_tokens",),
        cost=(f"{_COSTS}.total",),
        cost_parts=(f"{_COSTS}.input", f"{_COSTS}.output"),
    ),
    DialectConfig(
        name="traceloop",
        provider=_OTEL_PROVIDER,
        model=_OTEL_MODEL,
        input=("gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
        output=("gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
        cache_read=("gen_ai.usage.cache_read_input_tokens",),
        cache_write=("gen_ai.usage.cache_creation_input_tokens",),
        reasoning=("gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens"),
    ),
)


def attributes_of(dialects: Sequence[DialectConfig]) -> tuple[str, ...]:
    """Return every attribute that the dialects look at: what a caller has to read of each span."""
    names: dict[str, None] = {}
    for dialect in dialects:
        called = (*dialect.provider, *dialect.model, *dialect.json)
        costs = (*dialect.cost, *dialect.cost_parts, dialect.currency, dialect.source)
        inputs = (*dialect.input, *dialect.cache_read, *dialect.cache_write)
        for name in (*called, *costs, *inputs, *dialect.output, *dialect.reasoning):
            if name and not any(name.startswith(f"{holder}.") for holder in dialect.json):
                names[name] = None
    return tuple(names)


@dataclass(frozen=True, slots=True)
class _Key:
    values: tuple[str, ...]
    currency: str
    source: CostSource


@dataclass(slots=True)
class _Sums:
    tokens: Counter[str] = field(default_factory=Counter)
    cost: Decimal = Decimal(0)
    spans: int = 0


class TokenUsage:
    """Adds up spans of calls, one at a time, for one rule and one window. `findings` counts what was odd."""

    def __init__(
        self,
        dialects: Sequence[DialectConfig],
        keys: tuple[str, ...],
        *,
        input_includes_cache: Literal["auto", "true", "false"] = "auto",
        reported_cost: bool = True,
    ) -> None:
        """Make an empty one; `keys` are the attributes that make a group, besides provider and model."""
        self._dialects = dialects
        self._keys = keys
        self._includes = input_includes_cache
        self._reported = reported_cost
        self._groups: dict[_Key, _Sums] = {}
        self.findings: Counter[str] = Counter()

    def add(self, attributes: Values) -> bool:
        """Count one span. Returns whether it says anything about tokens or cost."""
        attributes = _with_json(attributes, self._dialects)
        tokens = self._tokens(attributes)
        cost, currency, source = (
            self._cost(attributes) if self._reported else (None, "", CostSource.PRICE_BOOK)
        )
        if not tokens and cost is None:
            return False
        names = (str(attributes.get(name, "")) for name in self._keys)
        provider, model = self._first(attributes, "provider"), self._first(attributes, "model")
        sums = self._groups.setdefault(_Key((*names, provider, model), currency, source), _Sums())
        sums.tokens.update(tokens)
        sums.spans += 1
        if cost is not None:
            sums.cost = add(sums.cost, cost)
        return True

    def groups(self) -> list[TokenGroup]:
        """Return the sums so far."""
        names = (*self._keys, PROVIDER, MODEL)
        return [
            TokenGroup(
                {name: value for name, value in zip(names, key.values, strict=True) if value},
                {meter: sums.tokens[meter] for meter in METERS if sums.tokens[meter]},
                sums.spans,
                sums.cost if key.currency else None,
                key.currency,
                key.source,
            )
            for key, sums in self._groups.items()
        ]

    def _tokens(self, attributes: Values) -> dict[str, int]:
        for dialect in self._dialects:
            found = self._count(attributes, dialect.input)
            output = self._count(attributes, dialect.output)
            if found is None and output is None:
                continue
            read = self._count(attributes, dialect.cache_read) or 0
            write = self._count(attributes, dialect.cache_write) or 0
            thought = self._count(attributes, dialect.reasoning) or 0
            given, said = found or 0, output or 0
            if self._includes == "false":
                fresh = given
            elif read + write > given:
                self.findings["cache_exceeds_input"] += 1
                fresh = given if self._includes == "auto" else 0
            else:
                fresh = given - read - write
            if thought > said:
                self.findings["reasoning_exceeds_output"] += 1
                said += thought
            return {
                "input": fresh, "cache_read": read, "cache_write": write,
                "output": said - thought, "reasoning": thought,
            }  # fmt: skip
        return {}

    def _cost(self, attributes: Values) -> tuple[Decimal | None, str, CostSource]:
        """Return (cost, currency, source) of a span; a cost that cannot be one is counted and not used."""
        for dialect in self._dialects:
            amount = self._amount(attributes, dialect.cost)
            if amount is None:
                parts = [
                    part
                    for name in dialect.cost_parts
                    if (part := self._amount(attributes, (name,))) is not None
                ]
                amount = total(parts) if parts else None
            if amount is None:
                continue
            currency = str(attributes.get(dialect.currency) or dialect.default_currency)
            if currency not in CURRENCIES:
                self.findings["reported_currency_unknown"] += 1
                continue
            provider = str(attributes.get(dialect.source, "")) == "provider" if dialect.source else False
            source = CostSource.REPORTED_BY_PROVIDER if provider else CostSource.REPORTED_BY_CLIENT
            return amount, currency, source
        return None, "", CostSource.PRICE_BOOK

    def _first(self, attributes: Values, what: Literal["provider", "model"]) -> str:
        for dialect in self._dialects:
            for name in dialect.provider if what == "provider" else dialect.model:
                if value := attributes.get(name):
                    return str(value)
        return ""

    def _count(self, attributes: Values, names: Iterable[str]) -> int | None:
        for name in names:
            value = attributes.get(name)
            if value is None:
                continue
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _TOKENS_MAX:
                return value
            self.findings["tokens_unreadable"] += 1
        return None

    def _amount(self, attributes: Values, names: Iterable[str]) -> Decimal | None:
        for name in names:
            value = attributes.get(name)
            if value is None or isinstance(value, bool):
                continue
            try:
                # A double's shortest decimal is what the emitter wrote.
                amount = Decimal(repr(value) if isinstance(value, float) else str(value))
                if amount.is_finite() and 0 <= amount <= _COST_MAX:
                    return checked(amount.quantize(_UNIT))
            except ArithmeticError:
                pass
            self.findings["reported_cost_unreadable"] += 1
        return None


def _with_json(attributes: Values, dialects: Sequence[DialectConfig]) -> Values:
    """Add the fields of attributes that hold JSON objects, as `attribute.field`."""
    holders = [name for dialect in dialects for name in dialect.json if name in attributes]
    if not holders:
        return attributes
    found = dict(attributes)
    for name in holders:
        text = attributes[name]
        if not isinstance(text, str) or len(text) > _JSON_MAX:
            continue
        try:
            value = json.loads(text, parse_float=Decimal)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.update({f"{name}.{key}": inner for key, inner in value.items()})
    return found
