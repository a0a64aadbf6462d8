"""Policies, for all inputs: more cost is never better, periods are a partition of time, documents are kept."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import available_timezones

from hypothesis import assume, given
from hypothesis import strategies as st

from collector.cost.amount import LARGEST, to_scaled, total
from collector.cost.calendar import DAY_NS
from collector.cost.policy.document import documents, locate, with_fields
from collector.cost.policy.evaluate import Costs, evaluate
from collector.cost.policy.period import CALENDAR_PERIODS, period_before, policy_period
from collector.cost.policy.policy import BudgetStatus, Severity
from collector.cost.policy.read import json_value, parse_policy
from collector.cost.record import Period

AMOUNTS = st.decimals(min_value=-(10**12), max_value=10**12, places=18)
INSTANTS = st.integers(min_value=DAY_NS * 366, max_value=2**62)
MONTH = Period(1_788_220_800 * 10**9, 1_790_812_800 * 10**9)


def _threshold(key: str) -> st.SearchStrategy[dict[str, Any]]:
    bound = st.decimals(min_value=Decimal("0.01"), max_value=1000, places=2).map(float)
    severity = st.sampled_from([one.value for one in Severity])
    return st.fixed_dictionaries({key: bound, "severity": severity, "forecast": st.booleans()})


THRESHOLDS = st.lists(st.one_of(_threshold("share"), _threshold("amount")), max_size=4)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def costs(cost: Decimal, passed: int) -> Costs:
    until = MONTH.start_unix_nano + passed
    return Costs(cost=cost, currency="USD", period=MONTH, until_unix_nano=until)


@given(
    AMOUNTS, AMOUNTS, AMOUNTS.map(abs), st.integers(1, MONTH.length_ns), THRESHOLDS, st.booleans(),
    st.sampled_from(["advisory", "block"]),
)  # fmt: skip
def test_more_cost_is_never_better(
    one: Decimal,
    other: Decimal,
    budget: Decimal,
    passed: int,
    thresholds: list[Any],
    forecast: bool,
    action: str,
) -> None:
    """The verdict, the severity, the thresholds reached, the budget's status: all grow with the amount."""
    text = json.dumps({"id": "p", "on_violation": action, "forecast": forecast, "thresholds": thresholds})
    policy = parse_policy(with_fields(text, budget=0).replace('"budget":0', f'"budget":{budget:f}'))
    less, more = (evaluate(policy, costs(cost, passed)) for cost in sorted((one, other)))
    assert less.status.rank <= more.status.rank
    assert (less.severity.rank if less.severity else -1) <= (more.severity.rank if more.severity else -1)
    assert set(less.thresholds_reached) <= set(more.thresholds_reached)
    order = list(BudgetStatus)
    assert less.budget_status is not None
    assert more.budget_status is not None
    assert order.index(less.budget_status) <= order.index(more.budget_status)
    assert less.forecast is not None
    assert more.forecast is not None
    assert less.forecast <= more.forecast


@given(AMOUNTS, st.integers(1, MONTH.length_ns))
def test_a_forecast_is_a_straight_line_rounded_once(cost: Decimal, passed: int) -> None:
    """Within half a unit of the last digit of the exact one, and at the end it is the cost."""
    exact = Fraction(to_scaled(cost)) * MONTH.length_ns / passed
    found = evaluate(parse_policy('{"id": "p", "budget": 1}'), costs(cost, passed)).forecast
    assert found is not None
    if found.copy_abs() == LARGEST:  # abs() would round
        assert abs(exact) > 10**38 - 2
    else:
        assert abs(to_scaled(found) - exact) <= Fraction(1, 2)
    end = evaluate(parse_policy('{"id": "p", "budget": 1}'), costs(cost, MONTH.length_ns))
    assert end.forecast == cost


@given(st.lists(AMOUNTS, min_size=1, max_size=8), st.decimals(0, 10**12, places=18))
def test_a_budget_is_compared_with_the_exact_sum(parts: list[Decimal], budget: Decimal) -> None:
    """Violated if and only if the parts are above it; the overage is the difference, to the last digit."""
    policy = parse_policy(f'{{"id": "p", "budget": {budget:f}, "thresholds": []}}')
    found = evaluate(policy, costs(total(parts), MONTH.length_ns))
    over = sum(map(to_scaled, parts)) - to_scaled(budget)
    assert (found.status.value == "advisory") == (over > 0)
    if over > 0:
        overage = found.violation_details["overage"]
        assert isinstance(overage, Decimal)
        assert to_scaled(overage) == over


@given(INSTANTS, st.sampled_from(CALENDAR_PERIODS), st.sampled_from(sorted(available_timezones()) or ["UTC"]))
def test_the_periods_of_a_calendar_are_a_partition_of_time(at: int, name: str, zone: str) -> None:
    """In every zone, whatever its clocks have done: no instant in none, none in two."""
    period = policy_period(name, zone, at)
    assert period.holds(at)
    after, before = policy_period(name, zone, period.end_unix_nano), period_before(name, zone, period)
    assert after.start_unix_nano == period.end_unix_nano
    assert before.end_unix_nano == period.start_unix_nano
    assert policy_period(name, zone, period.end_unix_nano - 1) == period
    assert policy_period(name, zone, period.start_unix_nano) == period


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), JSON, max_size=4), st.booleans())
def test_setting_a_field_leaves_the_others(document: dict[str, Any], flag: bool) -> None:
    """With the values and the text that they had; setting what is there already changes nothing."""
    text = json.dumps(document, indent=1)
    changed = with_fields(text, enabled=flag)
    assert json.loads(changed) == {**document, "enabled": flag}
    assert with_fields(changed, enabled=flag) == changed
    if document.get("enabled") is flag:
        assert changed == text


@given(JSON, st.integers(0, 3), st.data())
def test_every_value_has_a_place(value: Any, indent: int, data: st.DataObject) -> None:
    """Where its text, or its key's, begins."""
    text = json.dumps({"a": [value]}, indent=indent, ensure_ascii=False)
    path, inner = "a[0]", value
    while isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
        if isinstance(inner, list):
            index = data.draw(st.integers(0, len(inner) - 1))
            path, inner = f"{path}[{index}]", inner[index]
        else:
            key = data.draw(st.sampled_from(sorted(inner)))
            assume(key and not set(key) & set(".[]"))
            path, inner = f"{path}.{key}", inner[key]
    line, column = locate(text, path)
    rest = "\n".join([text.split("\n")[line - 1][column - 1 :], *text.split("\n")[line:]])
    if not path.endswith("]"):
        found, end = json.JSONDecoder().raw_decode(rest)
        assert found == path.rsplit(".", 1)[-1]
        rest = rest[end:].lstrip(" :")
    assert json.JSONDecoder().raw_decode(rest)[0] == inner


@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), max_size=3), st.booleans())
def test_a_list_of_policies_is_cut_where_they_end(policies: list[Any], wrapped: bool) -> None:
    """Each is the text that it was."""
    try:
        json_value(text := json.dumps({"policies": policies} if wrapped else policies, indent=2), "it")
    except ValueError:
        assume(False)  # half a character, which Hypothesis makes and JSON has
    assert [json.loads(one) for _, one in documents(text)] == policies
    assert all(one in text for _, one in documents(text))
