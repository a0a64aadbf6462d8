"""Whether an expression is true. What is not known makes no rule hold, so nobody is blocked for what was not said."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from collector.cost.policy.policy import Condition, Policy, Value


def holding(policy: Policy, fields: Mapping[str, Value]) -> tuple[Value, ...] | None:
    """Return the rules that hold, if the expression is true; None if it is not, or there is none.

    A rule about `resource.…` asks every one of `resources`, as in FinOpsGuard: one of them is enough.
    """
    if not policy.conditions:
        return None
    for case in _cases(policy, fields):
        found = [condition for condition in policy.conditions if _true(condition, case)]
        if found if policy.any_condition else len(found) == len(policy.conditions):
            return tuple({"field": one.field, "operator": one.operator, "value": one.value} for one in found)
    return None


def _cases(policy: Policy, fields: Mapping[str, Value]) -> list[Mapping[str, Value]]:
    resources = fields.get("resources")
    if isinstance(resources, tuple) and any(one.field.startswith("resource.") for one in policy.conditions):
        return [{**fields, "resource": resource} for resource in resources]
    return [fields]


def _lookup(fields: Mapping[str, Value], name: str) -> Value:
    """The value of `name`, or of `a.b.0` within objects and lists."""
    if name in fields:
        return fields[name]
    value: Value = fields
    for part in name.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _true(condition: Condition, fields: Mapping[str, Value]) -> bool:
    left, right = _lookup(fields, condition.field), condition.value
    if left is None:
        return False
    match condition.operator:
        case "==":
            return left == right
        case "!=":
            return left != right
        case "in":
            return isinstance(right, tuple) and left in right
        case "not_in":
            return isinstance(right, tuple) and left not in right
        case "contains":
            items = left if isinstance(left, tuple) else (left,)
            return any(str(right).lower() in str(item).lower() for item in items)
        case "starts_with":
            return str(left).startswith(str(right))
        case "ends_with":
            return str(left).endswith(str(right))
    one, other = _number(left), _number(right)
    if one is None or other is None:
        return False
    match condition.operator:
        case ">":
            return one > other
        case ">=":
            return one >= other
        case "<":
            return one < other
        case _:
            return one <= other


def _number(value: Value) -> Decimal | None:
    """A number, or a text that is one, as FinOpsGuard takes it."""
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
