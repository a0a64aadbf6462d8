"""Tokens and reported costs, in every dialect."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from collector.cost.llm import DEFAULT_DIALECTS, MODEL, PROVIDER, TokenUsage, attributes_of
from collector.cost.record import CostSource
from collector.cost.usage import TokenGroup

OTEL = {"gen_ai.provider.name": "anthropic", "gen_ai.response.model": "m"}


def counted(attributes: dict[str, Any], **options: Any) -> tuple[TokenGroup, dict[str, int]]:
    usage = TokenUsage(DEFAULT_DIALECTS, (), **options)
    assert usage.add(attributes)
    (group,) = usage.groups()
    return group, dict(usage.findings)


@pytest.mark.parametrize(
    ("attributes", "tokens", "cost", "source"),
    [
        (
            OTEL
            | {
                "gen_ai.usage.input_tokens": 100,
                "gen_ai.usage.cache_read.input_tokens": 60,
                "gen_ai.usage.cache_creation.input_tokens": 30,
                "gen_ai.usage.output_tokens": 50,
                "gen_ai.usage.reasoning.output_tokens": 20,
                "gen_ai.usage.cost.amount": 0.25,
                "gen_ai.usage.cost.currency": "EUR",
                "gen_ai.usage.cost.source": "provider",
            },
            {"input": 10, "cache_read": 60, "cache_write": 30, "output": 30, "reasoning": 20},
            ("0.25", "EUR"),
            CostSource.REPORTED_BY_PROVIDER,
        ),
        (
            OTEL | {"gen_ai.usage.input_tokens": 1, "gen_ai.usage.cost": 0.1},
            {"input": 1},
            ("0.1", "USD"),
            CostSource.REPORTED_BY_CLIENT,
        ),
        (
            OTEL
            | {
                "gen_ai.usage.output_tokens": 1,
                "gen_ai.usage.input_cost": 0.1,
                "gen_ai.usage.output_cost": 0.2,
            },
            {"output": 1},
            ("0.3", "USD"),
            CostSource.REPORTED_BY_CLIENT,
        ),
        (
            OTEL | {"gen_ai.usage.input_tokens": 2, "operation.cost": 3.6e-05},
            {"input": 2},
            ("0.000036", "USD"),
            CostSource.REPORTED_BY_CLIENT,
        ),
        (
            {
                "llm.provider": "anthropic",
                "llm.model_name": "m",
                "llm.token_count.prompt": 100,
                "llm.token_count.prompt_details.cache_read": 90,
                "llm.token_count.completion": 5,
                "llm.token_count.completion_details.reasoning": 3,
                "llm.cost.prompt": 0.01,
                "llm.cost.completion": 0.02,
            },
            {"input": 10, "cache_read": 90, "output": 2, "reasoning": 3},
            ("0.03", "USD"),
            CostSource.REPORTED_BY_CLIENT,
        ),
        (
            OTEL
            | {
                "langfuse.observation.usage_details": '{"input": 7, "output": 3, "cache_read_input_tokens": 2}',
                "langfuse.observation.cost_details": '{"total": 0.000000000123456789}',
            },
            {"input": 5, "cache_read": 2, "output": 3},
            ("0.000000000123456789", "USD"),
            CostSource.REPORTED_BY_CLIENT,
        ),
        (
            {
                "gen_ai.system": "anthropic",
                "gen_ai.request.model": "m",
                "gen_ai.usage.prompt_tokens": 9,
                "gen_ai.usage.completion_tokens": 8.0,
            },
            {"input": 9, "output": 8},
            None,
            CostSource.PRICE_BOOK,
        ),
    ],
    ids=["opentelemetry", "openlit", "openrouter", "logfire", "openinference", "langfuse", "traceloop"],
)
def test_a_dialect_is_read(
    attributes: dict[str, Any], tokens: dict[str, int], cost: tuple[str, str] | None, source: CostSource
) -> None:
    """Provider and model, tokens in exactly one meter each, cost with its currency and source."""
    group, findings = counted(attributes)
    assert group.attributes == {PROVIDER: "anthropic", MODEL: "m"}
    assert group.tokens == tokens
    assert group.source is source
    expected = (Decimal(cost[0]), cost[1]) if cost else (None, "")
    assert (group.reported_cost, group.currency) == expected
    assert findings == {}
    assert set(attributes) <= set(attributes_of(DEFAULT_DIALECTS))


def test_an_emitter_that_counts_the_cache_beside_the_input_is_found() -> None:
    """More was read from the cache than went in: the provider's own way of counting, not OpenTelemetry's."""
    attributes = OTEL | {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 100}
    assert counted(attributes)[0].tokens == {"input": 5, "cache_read": 100}
    assert counted(attributes)[1] == {"cache_exceeds_input": 1}
    assert counted(attributes, input_includes_cache="true")[0].tokens == {"cache_read": 100}
    small = OTEL | {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.cache_read.input_tokens": 5}
    assert counted(small, input_includes_cache="false")[0].tokens == {"input": 100, "cache_read": 5}


def test_an_emitter_that_counts_reasoning_beside_the_output_is_found() -> None:
    """No token is lost or counted twice."""
    attributes = OTEL | {"gen_ai.usage.output_tokens": 5, "gen_ai.usage.reasoning.output_tokens": 8}
    group, findings = counted(attributes)
    assert group.tokens == {"output": 5, "reasoning": 8}
    assert findings == {"reasoning_exceeds_output": 1}


@pytest.mark.parametrize("value", [-1, "12", 1.5, True, 10**15])
def test_tokens_that_are_no_number_are_counted_and_not_used(value: object) -> None:
    """They cost the span nothing else."""
    attributes = OTEL | {"gen_ai.usage.input_tokens": value, "gen_ai.usage.output_tokens": 3}
    group, findings = counted(attributes)
    assert group.tokens == {"output": 3}
    assert findings == {"tokens_unreadable": 1}


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "free", 1e300])
def test_a_reported_cost_that_can_be_none_is_counted_and_not_used(value: object) -> None:
    """The tokens are priced instead."""
    group, findings = counted(OTEL | {"gen_ai.usage.input_tokens": 3, "gen_ai.usage.cost": value})
    assert group.reported_cost is None
    assert findings == {"reported_cost_unreadable": 1}


def test_a_cost_in_a_currency_that_does_not_exist_is_not_used() -> None:
    """It could not be added to anything."""
    attributes = {
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.cost.amount": 1.0,
        "gen_ai.usage.cost.currency": "credits",
    }
    group, findings = counted(OTEL | attributes)
    assert group.reported_cost is None
    assert findings == {"reported_currency_unknown": 1}


def test_a_span_without_tokens_and_cost_is_none_of_this() -> None:
    """Nothing is counted."""
    usage = TokenUsage(DEFAULT_DIALECTS, ())
    assert not usage.add({"http.route": "/"})
    assert usage.groups() == []


def test_reported_costs_can_be_ignored() -> None:
    """Where the price book is to be the only authority."""
    group, _ = counted(OTEL | {"gen_ai.usage.input_tokens": 3, "gen_ai.usage.cost": 9.0}, reported_cost=False)
    assert (group.reported_cost, group.source) == (None, CostSource.PRICE_BOOK)
