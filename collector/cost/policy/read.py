"""Policies from JSON: FinOpsGuard's, as its API takes them and as it stores them, and what is added here.

FinOpsGuard's keys: `id`, `name`, `description`, `budget`, `expression` with `rules` and `operator`, `on_violation`,
`enabled`. Its API also takes the rules as `rules` and `rule_operator`, operators in words, and `action`; so does this.
Added, and optional: `period`, `timezone`, `scope`, `basis`, `currency`, `thresholds`, `forecast`, `compat`. Keys that are
not known, such as `created_at`, are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

from collector.cost.amount import ZERO, checked
from collector.cost.currency import check_currency
from collector.cost.policy.period import check_period, zone
from collector.cost.policy.policy import (
    THRESHOLDS,
    Condition,
    Operator,
    Policy,
    PolicyError,
    Severity,
    Status,
    Threshold,
    Value,
)

TEXT_MAX: Final = 100_000  # characters of a policy
_ID_MAX: Final = 255  # as FinOpsGuard's column
_RULES_MAX: Final = 100
_VALUES_MAX: Final = 1000
_EXPONENT_MAX: Final = 1000  # of any number; a database reads the document as JSON, too
_OPERATORS: Final = ("==", "!=", ">", ">=", "<", "<=", "in", "not_in", "contains", "starts_with", "ends_with")
_WORDS: Final = {"equals": "==", "not_equals": "!=", "greater_than": ">", "less_than": "<"}
_BASES: Final = ("effective", "billed")


class JsonError(PolicyError):
    """A text is not JSON. `line` and `column`: where, from 1."""

    def __init__(self, text: str, line: int = 1, column: int = 1) -> None:
        super().__init__(text)
        self.line = line
        self.column = column


def parse_policy(text: str | bytes) -> Policy:
    """Read a policy.

    Raises:
        PolicyError: it cannot be used; the message names the key.
    """
    if len(text) > TEXT_MAX:
        raise PolicyError(f"the policy has more than {TEXT_MAX} characters")
    return policy_of(json_value(text, "the policy"))


def json_value(text: str | bytes, what: str) -> Any:
    """Read JSON that a database can keep as well: numbers exactly, as decimals, and no key twice.

    Raises:
        JsonError: it is not JSON.
        PolicyError: it has a key twice, text that is none, or a number beyond all bounds.
    """
    try:
        return json.loads(
            text,
            parse_float=_decimal,
            parse_int=_decimal,
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
    except PolicyError:
        raise
    except json.JSONDecodeError as error:
        raise JsonError(f"{what} is not JSON: {error.msg}", error.lineno, error.colno) from None
    except UnicodeDecodeError:
        raise JsonError(f"{what} is not JSON: it is not UTF-8") from None
    except RecursionError:
        raise JsonError(f"{what} is not JSON that can be read: too deep") from None


def policy_of(data: object) -> Policy:
    """Read a policy from what `json_value` returned. Raises as `parse_policy`."""
    if not isinstance(data, dict):
        raise PolicyError("the policy is not a JSON object")
    _check_texts(data)
    conditions, any_condition = _expression(data)
    budget = _number(data, "budget")
    if budget is None and not conditions:
        raise PolicyError("a policy needs a budget or an expression", "budget")
    if budget is not None and budget < 0:
        raise PolicyError(f"{budget} is negative", "budget")
    action = "on_violation" if data.get("on_violation") is not None or "action" not in data else "action"
    return Policy(
        id=_id(data),
        name=_text(data, "name", ""),
        description=_text(data, "description", ""),
        budget=budget,
        conditions=conditions,
        any_condition=any_condition,
        on_violation=Status(_choice(data, action, ("advisory", "block"), "advisory")),
        enabled=_flag(data, "enabled", default=True),
        period=check_period(_text(data, "period", "month")),
        timezone=_timezone(data),
        scope=_scope(data.get("scope")),
        basis=_choice(data, "basis", _BASES, "effective"),
        currency=_currency(data),
        thresholds=_thresholds(data.get("thresholds"), budget),
        forecast=_flag(data, "forecast", default=False),
        finopsguard=_choice(data, "compat", ("finopsguard", ""), "") == "finopsguard",
    )


def context_of(data: object) -> dict[str, Value]:
    """Return a JSON object as what an expression may ask for.

    Raises:
        PolicyError: it is none.
    """
    if not isinstance(data, dict):
        raise PolicyError("is a JSON object of what an expression may ask for", "context")
    return {name: value_of(value) for name, value in data.items()}


def _id(data: Mapping[str, Any]) -> str:
    name = _text(data, "id", "")
    if not name:
        raise PolicyError("a policy needs one", "id")
    if len(name) > _ID_MAX or not name.isprintable():
        raise PolicyError(f"is one to {_ID_MAX} characters that can be printed", "id")
    return name


def _timezone(data: Mapping[str, Any]) -> str:
    name = _text(data, "timezone", "UTC")
    zone(name)
    return name


def _currency(data: Mapping[str, Any]) -> str:
    currency = _text(data, "currency", "")
    if currency:
        try:
            check_currency(currency)
        except ValueError as error:
            raise PolicyError(str(error), "currency") from None
    return currency


def _expression(data: Mapping[str, Any]) -> tuple[tuple[Condition, ...], bool]:
    """The rules, and whether one of them is enough."""
    expression, at = data.get("expression"), "expression.rules"
    if expression is None:
        if not data.get("rules"):  # FinOpsGuard's API takes a list without rules for none
            return (), False
        at = "rules"
        expression = {"rules": data["rules"], "operator": data.get("rule_operator")}
    if (
        not isinstance(expression, dict)
        or not isinstance(rules := expression.get("rules"), list)
        or not rules
    ):
        raise PolicyError("an expression needs a list of rules", at)
    if len(rules) > _RULES_MAX:
        raise PolicyError(f"more than {_RULES_MAX}", at)
    conditions = tuple(_condition(rule, f"{at}[{index}]") for index, rule in enumerate(rules))
    key = "expression.operator" if at != "rules" else "rule_operator"
    joined = _text({key: expression.get("operator")}, key, "and").lower()
    if joined not in ("and", "or"):
        raise PolicyError(f"{joined!r} is not one of and, or", key)
    return conditions, joined == "or"


def _condition(rule: Any, at: str) -> Condition:
    if isinstance(rule, dict) and isinstance(
        rule.get("expression"), dict
    ):  # as FinOpsGuard's admin UI sends it
        rule, at = rule["expression"], f"{at}.expression"
    if not isinstance(rule, dict) or "value" not in rule:
        raise PolicyError("a rule has field, operator and value", at)
    word = rule.get("operator")
    operator = _choice(
        rule | {"operator": _WORDS.get(word, word) if isinstance(word, str) else word},
        "operator", _OPERATORS, "", at,
    )  # fmt: skip
    field = _text(rule, "field", "", at)
    if not field:
        raise PolicyError("a rule needs one", f"{at}.field")
    value = rule["value"]
    if operator in ("in", "not_in") and not isinstance(value, list):
        raise PolicyError(f"{operator} needs a list of values", f"{at}.value")
    if isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(one, dict | list) for one in value)
    ):
        raise PolicyError("is not a number, a text or a list of them", f"{at}.value")
    return Condition(field, cast("Operator", operator), value_of(value))


def value_of(data: Any) -> Value:
    """Return what `json_value` returned, with lists as tuples, which compare and cannot change."""
    if isinstance(data, list):
        return tuple(map(value_of, data))
    if isinstance(data, dict):
        return {name: value_of(value) for name, value in data.items()}
    return cast("Value", data)


def _thresholds(data: object, budget: Decimal | None) -> tuple[Threshold, ...]:
    if data is None:
        return THRESHOLDS if budget is not None else ()
    if not isinstance(data, list) or len(data) > _RULES_MAX:
        raise PolicyError(
            f"is a list of at most {_RULES_MAX} shares of the budget, such as 0.8", "thresholds"
        )
    return tuple(_threshold(one, f"thresholds[{index}]", budget) for index, one in enumerate(data))


def _threshold(data: object, at: str, budget: Decimal | None) -> Threshold:
    if isinstance(data, Decimal):
        data = {"share": data}
    if not isinstance(data, dict) or (data.get("share") is None) == (data.get("amount") is None):
        raise PolicyError(
            'is a share of the budget such as 0.8, or an object such as {"share": 0.8, "severity": "warning"}'
            ' or {"amount": 1000}',
            at,
        )
    share, amount = _number(data, "share", at), _number(data, "amount", at)
    if share is not None and budget is None:
        raise PolicyError("is a share of the budget, and there is none", f"{at}.share")
    for key, number in (("share", share), ("amount", amount)):
        if number is not None and number <= ZERO:
            raise PolicyError(f"{number} is not more than 0", f"{at}.{key}")
    return Threshold(
        share=share,
        amount=amount,
        severity=Severity(_choice(data, "severity", [one.value for one in Severity], "info", at)),
        forecast=_flag(data, "forecast", default=False, at=at),
    )


def _scope(data: object) -> dict[str, tuple[str, ...]]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise PolicyError("is a mapping of dimensions to texts, or lists of texts", "scope")
    scope = {}
    for name, value in data.items():
        values = value if isinstance(value, list) else [value]
        if not values or len(values) > _VALUES_MAX or not all(isinstance(one, str) for one in values):
            raise PolicyError(f"is a text, or a list of at most {_VALUES_MAX} texts", f"scope.{name}")
        scope[name] = tuple(dict.fromkeys(values))
    return scope


def _number(data: Mapping[str, Any], key: str, at: str = "") -> Decimal | None:
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, Decimal):
        raise PolicyError(f"{value!r} is not a number", _at(at, key))
    try:
        return checked(value)
    except ValueError as error:
        raise PolicyError(str(error), _at(at, key)) from None


def _text(data: Mapping[str, Any], key: str, default: str, at: str = "") -> str:
    value = data.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise PolicyError(f"{value!r} is not a text", _at(at, key))
    return value


def _flag(data: Mapping[str, Any], key: str, *, default: bool, at: str = "") -> bool:
    value = data.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise PolicyError(f"{value!r} is not true or false", _at(at, key))
    return value


def _choice(data: Mapping[str, Any], key: str, allowed: Sequence[str], default: str, at: str = "") -> str:
    value = _text(data, key, default, at)
    if value not in allowed:
        listed = ", ".join(word for word in allowed if word)
        raise PolicyError(f"{value!r} is not one of {listed}", _at(at, key))
    return value


def _at(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _check_texts(data: object, at: str = "") -> None:
    """Refuse texts that no database keeps: with NUL in them, or half a character."""
    if isinstance(data, str):
        if "\0" in data or (not data.isascii() and any("\ud800" <= one <= "\udfff" for one in data)):
            raise PolicyError("has a NUL, or half of a character", at)
    elif isinstance(data, dict):
        for name, value in data.items():
            _check_texts(name, at)
            _check_texts(value, _at(at, name))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            _check_texts(value, f"{at}[{index}]")


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > _EXPONENT_MAX:
        raise PolicyError(f"{text[:60]!r} is a number beyond all bounds")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PolicyError("is there twice", twice)
    return found


def _no_constant(name: str) -> Decimal:
    raise PolicyError(f"the policy is not JSON: {name} is not a number that JSON has")
