"""Price book and rules: every mistake has its place, and all are found in one run."""

from __future__ import annotations

import textwrap

import pytest

from collector.config.diagnostics import ConfigError
from collector.config.load import load
from collector.config.sources import Surroundings
from collector.cost.config import CostConfig, load_costs
from collector.cost.prices import PriceBook
from collector.cost.units import Unit
from tests.support.cost import HOUR, cost_config, demo_config

ELEMENTS = "elements: {cpu: {usage: u, unit: Core-Hours}}"
NODE = 'prices: [{id: node, unit: Hours, list: "1", split_weights: {cpu: 9}}]'


def complaints(text: str) -> list[str]:
    """`line:column message`, of the text as it is written here, without the section's own line."""
    body = textwrap.indent(textwrap.dedent(text).lstrip("\n"), "  ")
    with pytest.raises(ConfigError) as caught:
        load_costs(load([f"yaml:cost:\n{body}"], (), Surroundings({})))
    found = []
    for problem in sorted(
        caught.value.problems, key=lambda p: (p.place.line, p.place.column) if p.place else (0, 0)
    ):
        assert problem.place is not None
        found.append(f"{problem.place.line - 1}:{problem.place.column - 2} {problem.message}")
    return found


def test_the_configuration_that_the_repository_shows_is_in_order() -> None:
    """Two files read together."""
    config = demo_config()
    assert len(config.prices) == 9
    assert [rule.id for rule in config.rules] == ["k8s-node", "request-share", "llm", "functions"]


def test_mistakes_in_prices_are_all_found_at_their_places() -> None:
    """Currency, unit, dates, sign, ids and references."""
    found = complaints(
        """
        prices:
          - {id: a, unit: hours, list: "1"}
          - {id: b, unit: Hours, list: "-1"}
          - {id: c, unit: Hours, list: "1", currency: usd}
          - {id: d, unit: Hours, list: 1e3}
          - {id: e, unit: Hours, list: "1", effective_from: 2026-02-01, effective_to: 2026-01-01}
          - {id: f, unit: GB/Hour, list: "1"}
        """
    )
    assert found == [
        "2:13 cost.prices[0].unit: 'hours' is not a unit: write it like Hours, GB-Hours, Requests or 1000000 Tokens",
        "3:26 cost.prices[1].list_unit_price: -1 is negative, which only a credit or an adjustment may be",
        "4:37 cost.prices[2].currency: 'usd' is not an ISO 4217 currency code, write USD",
        "5:32 cost.prices[3].list: '1e3' is not a decimal number",
        "6:65 cost.prices[4].effective_to: is not after effective_from, 2026-02-01",
        "7:13 cost.prices[5].unit: 'GB/Hour' is a rate: a price is for a quantity, such as GB or GB-Hours",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("currency: USA", ["1:1 cost.currency: 'USA' is not an ISO 4217 currency code"]),
        ("window: 7m", ["1:1 cost.window: 7m does not divide a day, on whose beginning prices change"]),
        (
            'prices:\n- {id: a, unit: Hours, list: "1"}\n- {id: a, list: "2"}',
            ["3:4 cost.prices[1].id: 'a' is a price for days for which prices[0] is one already"],
        ),
        (
            (
                'prices:\n- {id: a, unit: Hours, list: "1", effective_to: 2026-03-01}\n'
                '- {id: a, list: "2", effective_from: 2026-02-01}'
            ),
            [
                "3:22 cost.prices[1].effective_from: 'a' is a price for days for which prices[0] is one already"
            ],
        ),
        (
            'prices:\n- {id: a, match: {x: y}, unit: Hours, list: "1"}\n- {id: b, match: {x: y}, unit: Hours, list: "2"}',
            ["3:4 cost.prices[1].id: 'b' prices what 'a' prices for days for which prices[0] is one already"],
        ),
        (
            'prices:\n- {id: a, unit: Hours, list: "1"}\n- {id: a, unit: Days, list: "2", effective_from: 2026-02-01}',
            ["3:11 cost.prices[1].unit: price 'a' stands for something else already; give it another id"],
        ),
        (
            'prices: [{id: a, unit: Hours, match: {same: b}, list: "1"}]',
            [
                (
                    "1:31 cost.prices[0].match: same: 'b' is no price to take it from; "
                    "it has to be the id of a price with patterns of its own"
                )
            ],
        ),
        ('prices: [{id: a, list: "1"}]', ["1:10 cost.prices[0]: price 'a' needs a unit"]),
        (
            f"{NODE}\nrules: [{{id: r, origin: {{price: nod, per: x, presence: up}}}}]",
            ["2:26 cost.rules[0].origin.price: there is no price 'nod'; did you mean 'node'?"],
        ),
        (
            f"{NODE}\nrules: [{{id: r, origin: {{price: node, per: x}}}}]",
            ["2:17 cost.rules[0].origin: needs presence: without elements, no metric says that it is there"],
        ),
        (
            (
                f"{NODE}\nrules:\n- id: r\n  origin: {{price: node, per: x}}\n"
                "  split: {elements: {cpu: {usage: u, unit: Core-Hours}, mem: {usage: u, unit: GiB-Hours}}}"
            ),
            ["4:12 cost.rules[0].origin.price: neither price 'node' nor the split has a weight for mem"],
        ),
        (
            (
                f"{NODE}\nrules:\n- id: r\n  origin: {{prices: {{cpu: node}}, per: x}}\n"
                "  split: {elements: {cpu: {usage: u, capacity: c, unit: Core-Hours}}}"
            ),
            [
                (
                    "4:21 cost.rules[0].origin.prices.cpu: price 'node' is for Hours, "
                    "and what is charged is measured in Core-Hours"
                )
            ],
        ),
        (
            "rules: [{id: r}]",
            ["1:10 cost.rules[0].id: a rule has one of origin, tokens, quantities and parent"],
        ),
        (
            "rules: [{id: r, tokens: {}}, {id: r, tokens: {}}]",
            ["1:31 cost.rules[1].id: rules[0] is called 'r' already"],
        ),
        (
            "rules: [{id: r, parent: {rule: q}}]",
            ["1:26 cost.rules[0].parent.rule: 'q' is no rule that divides an origin"],
        ),
        (
            "rules: [{id: r, tokens: {}, attribute_to: [teem]}]",
            ["1:44 cost.rules[0].attribute_to[0]: there is no dimension 'teem'; did you mean 'team'?"],
        ),
        (
            "rules: [{id: r, quantities: {x: a + b}}]",
            [
                (
                    "1:30 cost.rules[0].quantities.x: 'a + b' is not a quantity: "
                    "write it like faas.max_memory * duration, or count"
                )
            ],
        ),
        (
            (
                'prices: [{id: a, meter: t, unit: GB-Hourz, list: "1"}, {id: b, meter: output, unit: Hours, list: "1"}]\n'
                "rules: [{id: r, quantities: {t: faas.max_memory * duration}}, {id: s, tokens: {}}]"
            ),
            [
                "1:79 cost.prices[1].unit: price 'b' is for Hours, and output of rule 's' is counted in Tokens",
                (
                    "2:30 cost.rules[0].quantities.t: price 'a' is for GB-Hourz, "
                    "which has no time in it, and what is counted has"
                ),
            ],
        ),
        (
            'prices: [{id: a, meter: input, unit: 1000 Tokenz, list: "1"}]\nrules: [{id: s, tokens: {}}]',
            [
                "1:32 cost.prices[0].unit: price 'a' is for 1000 Tokenz, and input of rule 's' is counted in Tokens"
            ],
        ),
        (
            (
                'rates:\n- {currency: USD, into: EUR, rate: "0.9", effective_from: 2026-09-01, source: a}\n'
                '- {currency: USD, into: EUR, rate: "0.8", effective_from: 2026-09-01, source: b}'
            ),
            ["3:43 cost.rates[1].effective_from: rates[0] is from USD to EUR from that day on, too"],
        ),
        (
            'rates: [{currency: USX, into: USD, rate: "-1", effective_from: 2026-09-01, source: ""}]',
            [
                "1:10 cost.rates[0].currency: 'USX' is not an ISO 4217 currency code",
                "1:36 cost.rates[0].rate: -1 is not more than 0",
                "1:76 cost.rates[0].source: must not be empty: a report says whose rate it used",
            ],
        ),
        (
            f"{NODE}\nrules: [{{id: r, origin: {{price: node, per: x}}, split: {{idle: to:nobody, {ELEMENTS}}}}}]",
            [
                (
                    "2:56 cost.rules[0].split.idle: 'nobody' names no owner: write it like team=platform, with one of "
                    "service, environment, team, tenant, workload, operation"
                ),
            ],
        ),
        (
            f"{NODE}\nrules: [{{id: r, origin: {{price: node, per: x}}, split: {{{ELEMENTS.replace('u,', 'a(median),')}}}}}]",
            [
                (
                    "2:73 cost.rules[0].split.elements.cpu.usage: 'a(median)' is not a metric: "
                    "write it like k8s.pod.cpu.time(rate), or (avg, max, min, last)"
                ),
            ],
        ),
    ],
)
def test_a_mistake_is_found_at_its_place(text: str, expected: list[str]) -> None:
    """With what to do about it, where there is one thing."""
    found = complaints(text)
    assert found == expected


def test_a_price_that_changes_holds_from_its_day_on() -> None:
    """A later entry takes over what it does not say; before the first there is no price."""
    config: CostConfig = cost_config(
        """
        prices:
          - {id: a, match: {x: "y*"}, meter: m, unit: Hours, list: "1", effective_from: 2026-09-01, sku: s}
          - {id: a, list: "2", effective_from: 2026-09-22, effective_to: 2026-09-23}
        """
    )
    book = PriceBook(config.prices, config.currency)
    day = 24 * 3600 * 10**9
    prices = [book.find("m", {"x": "yes"}, HOUR.start_unix_nano + days * day) for days in (-30, 0, 1, 2)]
    assert [price and str(price.config.list_unit_price) for price in prices] == [None, "1", "2", None]
    assert prices[2] is not None
    assert (prices[2].config.sku, prices[2].unit) == ("s", Unit.parse("Hours"))
    assert book.find("m", {"x": "no"}, HOUR.start_unix_nano) is None


def test_units_are_exact() -> None:
    """A month is 730 hours; decimal and binary prefixes differ."""
    sizes = {
        text: int(Unit.parse(text).size) for text in ("Months", "GB-Hours", "GiB-Hours", "1000000 Tokens")
    }
    assert sizes == {
        "Months": 730 * 3600,
        "GB-Hours": 3600 * 10**9,
        "GiB-Hours": 3600 * 2**30,
        "1000000 Tokens": 10**6,
    }
    assert Unit.parse("Hours").kinds == Unit.parse("Second").kinds == ("time",)
    assert Unit.parse("1000 Tokens").counted == "Tokens"
