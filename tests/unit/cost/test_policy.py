"""Policies: FinOpsGuard's JSON unchanged, exact comparisons, reasons."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from collector.cost.calendar import text_of
from collector.cost.policy.document import documents, locate, placed, with_fields
from collector.cost.policy.evaluate import Costs, budget_status, evaluate, overall
from collector.cost.policy.period import period_before, policy_period
from collector.cost.policy.policy import BudgetStatus, PolicyError, Severity, Status, Value
from collector.cost.policy.read import JsonError, context_of, json_value, parse_policy
from tests.support.cost import HOUR

MONTH = policy_period("month", "UTC", HOUR.start_unix_nano)
HALF = MONTH.start_unix_nano + MONTH.length_ns // 2


def costs(cost: str, **others: Any) -> Costs:
    return Costs(cost=Decimal(cost), currency="USD", period=MONTH, until_unix_nano=HALF, **others)


def policy(**keys: Any) -> str:
    return json.dumps({"id": "p", **keys})


def test_a_policy_of_finopsguard_is_accepted_unchanged() -> None:
    """With all that its API writes, times among it."""
    read = parse_policy(
        policy(
            name="No GPUs in dev", description="", budget=None, enabled=True, on_violation="block",
            expression={"rules": [{"field": "environment", "operator": "==", "value": "dev"}], "operator": "and"},
            created_at="2026-01-01T00:00:00Z", updated_at="2026-01-01T00:00:00Z",
        )
    )  # fmt: skip
    assert evaluate(read, costs("1"), {"environment": "dev"}).status is Status.BLOCK
    assert evaluate(read, costs("1"), {"environment": "prod"}).status is Status.PASS
    assert evaluate(read, costs("1")).status is Status.PASS


def test_a_budget_is_violated_by_a_cost_above_it_and_not_by_its_equal() -> None:
    """To the last digit, where a float would see no difference."""
    read = parse_policy('{"id": "p", "budget": 1000.00, "on_violation": "block"}')
    assert evaluate(read, costs("1000")).status is Status.PASS
    above = evaluate(read, costs("1000.000000000000000001"))
    assert (above.status, above.severity) == (Status.BLOCK, Severity.CRITICAL)
    assert above.reason == "cost 1000.000000000000000001 USD is above the budget 1000 USD"
    assert above.violation_details == {
        "actual_cost": Decimal("1000.000000000000000001"),
        "budget_limit": Decimal(1000),
        "overage": Decimal("0.000000000000000001"),
    }


def test_a_budget_of_many_digits_is_read_exactly() -> None:
    """JSON's numbers are not doubles here."""
    assert parse_policy('{"id": "p", "budget": 0.100000000000000005}').budget == Decimal(
        "0.100000000000000005"
    )


def test_with_both_the_expression_says_when_the_budget_applies() -> None:
    """Or nothing at all, where FinOpsGuard's own meaning is asked for."""
    rules = {"rules": [{"field": "team", "operator": "in", "value": ["a", "b"]}]}
    both = parse_policy(policy(budget=1, expression=rules))
    assert evaluate(both, costs("2"), {"team": "a"}).status is Status.ADVISORY
    assert evaluate(both, costs("2"), {"team": "c"}).status is Status.PASS
    assert evaluate(both, costs("1"), {"team": "a"}).status is Status.PASS
    theirs = parse_policy(policy(budget=1, expression=rules, compat="finopsguard"))
    assert evaluate(theirs, costs("2"), {"team": "c"}).status is Status.ADVISORY


def test_a_forecast_above_the_budget_is_advice() -> None:
    """Half of the month has passed, so the whole costs twice as much; it blocks nothing."""
    read = parse_policy(policy(budget=100, on_violation="block", forecast=True, thresholds=[0.9, 0.5]))
    result = evaluate(read, costs("50.000001"))
    assert (result.status, result.forecast) == (Status.ADVISORY, Decimal("100.000002"))
    assert result.violation_details == {
        "actual_cost": Decimal("50.000001"),
        "forecast_cost": Decimal("100.000002"),
        "budget_limit": Decimal(100),
        "overage": Decimal("0.000002"),
    }
    assert result.reason == "forecast 100.000002 USD is above the budget 100 USD"
    assert [threshold.share for threshold in result.thresholds_reached] == [Decimal("0.5")]
    assert evaluate(read, costs("50")).status is Status.PASS


@pytest.mark.parametrize(
    ("field", "operator", "value", "holds"),
    [
        ("cost", ">", 9, True), ("cost", ">", 10, False), ("cost", ">=", 10, True), ("cost", "<", 10, False),
        ("cost", "<=", 10.0, True), ("cost", "==", 10.0, True), ("cost", "!=", 10, False),
        ("growth", ">=", 0.25, True), ("previous_period", "==", 8, True), ("unpriced_ratio", ">", 0, False),
        ("service", "contains", "CHECK", True), ("service", "starts_with", "check", True),
        ("service", "ends_with", "check", False), ("service", "in", ["pay", "checkout"], True),
        ("service", ">", 1, False), ("unheard_of", "!=", "x", False), ("size", ">", "8", True),
        ("service", "not_in", ["pay"], True), ("tags.env", "==", "dev", True), ("flags", "contains", "HIGH", True),
        ("flags.0", "==", "high_cost", True), ("flags.7", "!=", "x", False), ("tags.env.x", "!=", "x", False),
        ("currency", "==", "USD", True), ("idle_ratio", ">", 0.24, True),
    ],
)  # fmt: skip
def test_an_operator_compares_as_finopsguard_does(
    field: str, operator: str, value: object, holds: bool
) -> None:
    """Numbers as decimals; `contains` without regard to case; what is not known makes nothing true."""
    rules = {"rules": [{"field": field, "operator": operator, "value": value}]}
    read = parse_policy(policy(expression=rules))
    given: dict[str, Value] = {
        "service": "checkout", "size": "16", "tags": {"env": "dev"}, "flags": ("high_cost", "new"),
    }  # fmt: skip
    result = evaluate(read, costs("10", previous_period=Decimal(8), idle=Decimal("2.5"), records=1), given)
    assert (result.status is Status.ADVISORY) == holds


def test_rules_are_joined_by_and_or_or() -> None:
    """As the expression says; the worst of several policies counts."""
    rules = [{"field": "cost", "operator": ">", "value": n} for n in (1, 100)]
    both = parse_policy(policy(expression={"rules": rules, "operator": "and"}))
    either = parse_policy(policy(expression={"rules": rules, "operator": "or"}, on_violation="block"))
    results = [evaluate(one, costs("10")) for one in (both, either)]
    assert [result.status for result in results] == [Status.PASS, Status.BLOCK]
    assert overall(one.status for one in results) is Status.BLOCK
    assert overall([]) is Status.PASS


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "the policy is not JSON"),
        ("[]", "the policy is not a JSON object"),
        ('{"id": "p"}', "budget: a policy needs a budget or an expression"),
        ('{"budget": 1}', "id: a policy needs one"),
        ('{"id": "p", "budget": NaN}', "the policy is not JSON: NaN is not a number that JSON has"),
        ('{"id": "p", "budget": "1"}', "budget: '1' is not a number"),
        ('{"id": "p", "budget": -1}', "budget: -1 is negative"),
        ('{"id": "p", "budget": 1e300}', "budget: '1E\\+300' has more than 20 digits"),
        (
            '{"id": "p", "budget": 1, "on_violation": "explode"}',
            "on_violation: 'explode' is not one of advisory, block",
        ),
        (
            '{"id": "p", "budget": 1, "period": "hour"}',
            "period: 'hour' is not one of day, week, month, quarter, year, and no length",
        ),
        ('{"id": "p", "budget": 1, "currency": "USA"}', "currency: 'USA' is not an ISO 4217"),
        ('{"id": "p", "expression": {"rules": []}}', "expression.rules: an expression needs a list of rules"),
        (
            '{"id": "p", "expression": {"rules": [{"field": "x", "operator": "~", "value": 1}]}}',
            r"expression\.rules\[0\]\.operator: '~' is not one of ==",
        ),
        ('{"id": "p", "budget": 1, "budget": 2}', "budget: is there twice"),
        ('{"id": "p", "budget": 1, "x": {"y": 1, "y": 2}}', "y: is there twice"),
        ('{"id": "p", "budget": 1, "x": 1e1001}', "'1e1001' is a number beyond all bounds"),
        ('{"id": "p", "budget": 1, "name": "a\\u0000"}', "name: has a NUL, or half of a character"),
        ('{"id": "p", "budget": 1, "x": ["\\ud800"]}', r"x\[0\]: has a NUL, or half of a character"),
        ('{"id": "p\\n", "budget": 1}', "id: is one to 255 characters that can be printed"),
        ('{"id": "p", "budget": 1, "period": "3661d"}', "period: '3661d' is not one of"),
        ('{"id": "p", "budget": 1, "timezone": "Mars/Base"}', "timezone: 'Mars/Base' is no time zone"),
        (
            '{"id": "p", "budget": 1, "timezone": "../etc/passwd"}',
            "timezone: '../etc/passwd' is no time zone",
        ),
        ('{"id": "p", "budget": 1, "timezone": ""}', "timezone: '' is no time zone"),
        ('{"id": "p", "budget": 1, "scope": {"team": 1}}', r"scope\.team: is a text, or a list"),
        ('{"id": "p", "budget": 1, "scope": {"team": []}}', r"scope\.team: is a text, or a list"),
        ('{"id": "p", "budget": 1, "scope": "team=a"}', "scope: is a mapping of dimensions"),
        ('{"id": "p", "budget": 1, "thresholds": 1}', "thresholds: is a list"),
        ('{"id": "p", "budget": 1, "thresholds": [0.5, "x"]}', r"thresholds\[1\]: is a share of the budget"),
        ('{"id": "p", "budget": 1, "thresholds": [0]}', r"thresholds\[0\]\.share: 0 is not more than 0"),
        (
            '{"id": "p", "budget": 1, "thresholds": [{"amount": 1, "severity": "bad"}]}',
            r"thresholds\[0\]\.severity: 'bad' is not one of info, warning, error, critical",
        ),
        (
            '{"id": "p", "thresholds": [1], "rules": [{"field": "a", "operator": "==", "value": 1}]}',
            r"thresholds\[0\]\.share: is a share of the budget, and there is none",
        ),
        (
            '{"id": "p", "rules": [{"field": "a", "operator": "in", "value": "b"}]}',
            r"rules\[0\]\.value: in needs a list of values",
        ),
        (
            '{"id": "p", "rules": [{"field": "a", "operator": "==", "value": {}}]}',
            r"rules\[0\]\.value: is not a number, a text",
        ),
        ('{"id": "p", "rules": [1], "budget": 2}', r"rules\[0\]: a rule has field, operator and value"),
        ('{"id": "p", "budget": ' + "[" * 100_000, "the policy has more than 100000 characters"),
    ],
)
def test_a_policy_that_cannot_be_used_names_its_key(text: str, complaint: str) -> None:
    """Before it is kept."""
    with pytest.raises(PolicyError, match=f"^{complaint}"):
        parse_policy(text)


def test_currencies_are_not_compared() -> None:
    """A budget in euros says nothing about dollars."""
    with pytest.raises(PolicyError, match="the policy is in EUR, the costs are in USD"):
        evaluate(parse_policy(policy(budget=1, currency="EUR")), costs("2"))


def test_a_disabled_policy_passes() -> None:
    """Whatever the cost."""
    result = evaluate(parse_policy(policy(budget=1, enabled=False)), costs("2"))
    assert (result.status, result.reason) == (Status.PASS, "disabled")


def test_budgets_have_openfinopss_words() -> None:
    """At their exact bounds."""
    words = [budget_status(Decimal(cost), Decimal(100)) for cost in ("79.99", "80", "90", "100")]
    assert words == list(BudgetStatus)


@pytest.mark.parametrize(
    ("zone", "day", "month"),
    [
        ("UTC", "21T00", "09-01T00"),
        ("Europe/Berlin", "20T22", "08-31T22"),
        ("Asia/Kolkata", "20T18", "08-31T18"),
    ],
)
def test_periods_are_those_of_the_calendar_of_a_zone(zone: str, day: str, month: str) -> None:
    """2026-09-21 is a Monday, in Berlin since 22 o'clock UTC of the day before."""

    def starts(name: str) -> str:
        return text_of(policy_period(name, zone, HOUR.start_unix_nano).start_unix_nano)

    assert starts("day")[8:13] == day
    assert starts("week") == starts("day")
    assert starts("month")[5:13] == month
    assert starts("quarter")[:7] == ("2026-07" if zone == "UTC" else "2026-06")
    assert starts("year")[:7] == ("2026-01" if zone == "UTC" else "2025-12")
    ends = [policy_period(name, zone, HOUR.start_unix_nano).end_unix_nano for name in ("month", "quarter")]
    assert ends[0] == ends[1]  # September is a quarter's last month


def test_a_day_on_which_clocks_change_is_as_long_as_it_is() -> None:
    """25 hours in Berlin; and the whole of the day that Samoa left out is nowhere."""
    october = 1_792_893_600 * 10**9  # 2026-10-25, noon in Berlin
    assert policy_period("day", "Europe/Berlin", october).length_ns == 25 * 3600 * 10**9
    before = 1_325_239_199 * 10**9  # the last second of 2011-12-29 in Apia
    day, after = (policy_period("day", "Pacific/Apia", at) for at in (before, before + 10**9))
    assert day.end_unix_nano == after.start_unix_nano == before + 10**9
    assert after.length_ns == 24 * 3600 * 10**9


def test_a_rolling_period_ends_now_and_has_no_forecast() -> None:
    """And the one before it ends where it begins."""
    period = policy_period("30d", "UTC", HALF)
    assert (period.end_unix_nano, period.length_ns) == (HALF, 30 * 86_400 * 10**9)
    assert period_before("30d", "UTC", period).end_unix_nano == period.start_unix_nano
    read = parse_policy(
        policy(budget=1, period="30d", forecast=True, thresholds=[{"share": 1, "forecast": True}])
    )
    result = evaluate(read, Costs(cost=Decimal(1), currency="USD", period=period, until_unix_nano=HALF))
    assert (result.status, result.forecast, result.thresholds_reached) == (Status.PASS, None, ())


def test_thresholds_have_severities() -> None:
    """The highest of those that are reached; a violation is at least a warning."""
    thresholds = [
        0.5, {"share": 0.8, "severity": "warning"}, {"amount": 95, "severity": "error"},
        {"share": 1, "severity": "warning", "forecast": True},
    ]  # fmt: skip
    read = parse_policy(policy(budget=100, thresholds=thresholds))
    assert evaluate(read, costs("49")).severity is None
    assert evaluate(read, costs("50")).severity is Severity.WARNING  # 100 are expected
    result = evaluate(read, costs("95"))
    assert (result.status, result.severity, len(result.thresholds_reached)) == (
        Status.PASS,
        Severity.ERROR,
        4,
    )
    assert result.reasons == (
        "cost 95 USD is within the budget 100 USD",
        "cost has reached 50 USD (0.5 of the budget): info",
        "cost has reached 80 USD (0.8 of the budget): warning",
        "cost has reached 95 USD: error",
        "forecast has reached 100 USD (1 of the budget): warning",
    )
    plain = parse_policy(policy(budget=100, thresholds=[]))
    assert evaluate(plain, costs("101")).severity is Severity.WARNING


def test_ratios_and_forecasts_beyond_all_amounts_are_the_largest_one() -> None:
    """More cost is never better, and no evaluation ends in an error of arithmetic."""
    rules = {"rules": [{"field": "growth", "operator": ">", "value": 1000}]}
    read = parse_policy(
        policy(budget=10**19, expression=rules, thresholds=[100, {"share": 1, "forecast": True}])
    )
    early = Costs(
        cost=Decimal(10**9), currency="USD", period=MONTH, until_unix_nano=MONTH.start_unix_nano + 1,
        previous_period=Decimal("1E-18"),
    )  # fmt: skip
    result = evaluate(read, early)
    assert result.forecast == Decimal("99999999999999999999.999999999999999999")
    assert [threshold.forecast for threshold in result.thresholds_reached] == [True]
    assert result.reason.startswith("cost 1000000000 USD is within the budget")


def test_what_has_no_price_is_said() -> None:
    """It is in no sum, so a budget that holds may not hold."""
    result = evaluate(parse_policy(policy(budget=100)), costs("1", records=4, unpriced=1))
    assert result.reasons[-1] == "1 of 4 records have no price and are in no sum"


def test_resources_are_asked_one_by_one() -> None:
    """As FinOpsGuard does with what it has read of a deployment; one of them is enough."""
    rules = [
        {"field": "resource.size", "operator": "in", "value": ["m5.large"]},
        {"field": "environment", "operator": "==", "value": "dev"},
    ]
    read = parse_policy(policy(expression={"rules": rules}, on_violation="block"))
    resources: Value = ({"size": "t3.micro"}, {"size": "m5.large"})
    result = evaluate(read, costs("0"), {"environment": "dev", "resources": resources})
    assert result.status is Status.BLOCK
    assert result.violation_details["failed_rules"] == (
        {"field": "resource.size", "operator": "in", "value": ("m5.large",)},
        {"field": "environment", "operator": "==", "value": "dev"},
    )
    assert evaluate(read, costs("0"), {"environment": "dev", "resources": ()}).status is Status.PASS


def test_the_form_of_finopsguards_api_is_understood() -> None:
    """Rules beside the rest, operators in words, within `expression` as its admin UI sends them, and `action`."""
    read = parse_policy(
        policy(
            rules=[
                {"field": "environment", "operator": "equals", "value": "dev"},
                {"expression": {"field": "cost", "operator": "greater_than", "value": 100}},
            ],
            rule_operator="or", action="block",
        )
    )  # fmt: skip
    assert [condition.operator for condition in read.conditions] == ["==", ">"]
    assert (read.any_condition, read.on_violation) == (True, Status.BLOCK)
    assert parse_policy(policy(rules=[], budget=1)).conditions == ()


DOCUMENT = r"""{
  "id": "p",  "name" : "B\u00fcdget",
  "budget": 1000.00,
  "expression": {"rules": [
    {"field": "team", "operator": "==", "value": "a"},
    {"field": "team", "operator": "~", "value": ["x", {"y": 1}]}
  ]}
}"""


def test_a_field_is_set_and_the_others_stay_as_they_were_written() -> None:
    """1000.00 is not 1000 to who wrote it."""
    assert with_fields(DOCUMENT, id="p") == DOCUMENT
    off = with_fields(DOCUMENT, enabled=False)
    assert json.loads(off) == json.loads(DOCUMENT) | {"enabled": False}
    assert '"budget":1000.00' in off
    assert '"B\\u00fcdget"' in off
    assert with_fields(off, enabled=False) == off


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("", (1, 1)), ("budget", (3, 3)), ("name", (2, 15)), ("expression.rules", (4, 18)),
        ("expression.rules[1]", (6, 5)), ("expression.rules[1].operator", (6, 23)),
        ("expression.rules[1].value[1]", (6, 55)), ("expression.rules[1].value[1].y", (6, 56)),
        ("expression.rules[7].value", (4, 18)), ("scope.x", (1, 1)),
    ],
)  # fmt: skip
def test_a_key_has_a_place(key: str, place: tuple[int, int]) -> None:
    """Or that around it, where it is not there."""
    assert locate(DOCUMENT, key) == place


def test_a_mistake_has_line_and_column() -> None:
    """In a file of one policy, in the middle of many, and where it is no JSON."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(DOCUMENT)
    assert placed(caught.value, DOCUMENT).startswith("6:23: expression.rules[1].operator: '~' is not one of")
    many = f'{{"policies": [{{"id": "a", "budget": 1}},\n{DOCUMENT}]}}'
    [(_, first), (at, second)] = [(place, text) for place, text in documents(many)]
    assert json.loads(first) == {"id": "a", "budget": 1}
    assert (at, second) == ("policies[1]", DOCUMENT)
    assert placed(caught.value.within(at), many).startswith(
        "7:23: policies[1].expression.rules[1].operator: "
    )
    with pytest.raises(JsonError) as broken:
        documents("[1,\n 2,,]")
    assert placed(broken.value, "").startswith("2:4: the file is not JSON: ")
    assert documents(" 7 ") == [("", "7")]


def test_a_context_is_a_json_object() -> None:
    """With exact numbers."""
    assert context_of(json_value('{"a": [0.1, {"b": null}]}', "it")) == {"a": (Decimal("0.1"), {"b": None})}
    with pytest.raises(PolicyError, match=r"^context: is a JSON object"):
        context_of([])
