"""The handlers of policies over HTTP: FinOpsGuard's requests in, its answers out, over a store in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from collector.cost.protobuf import encode_request
from collector.model.signal import Signal
from collector.service.cost_stores import CostStore
from collector.service.policies import PolicyAnswers
from collector.storage.sqlite.store import SqliteStore
from collector.storage.store import Store
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, ledger
from tests.support.fake_clock import FakeClock
from tests.support.stores import put

Ask = Callable[..., tuple[int, Any]]
CLOCK = FakeClock(unix_nano=NOW_UNIX_NANO)
BUDGET = {"id": "b", "name": "Budget", "budget": 0.5, "on_violation": "block"}


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(SqliteStore(None)) as store:
        store.open()
        store.migrate()
        request = encode_request(ledger(start=NOW_UNIX_NANO - HOUR))
        put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(request))
        yield store


def asking(stores: dict[str, tuple[Store, float]], *, changes: bool = True, costs: str = "") -> Ask:
    known = {name: CostStore(*given, name == costs) for name, given in stores.items()}
    answers = PolicyAnswers(lambda: known, lambda: changes, CLOCK)

    def ask(method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        parameters = {name: [value] for name, value in query.items()}
        status, content_type, answer = answers.answer(method, path, parameters, text)
        assert content_type == "application/json"
        return status, json.loads(answer, parse_float=Decimal)

    return ask


@pytest.fixture
def ask(store: Store) -> Ask:
    return asking({"sqlite": (store, 0.0)})


def error(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["detail"]["error"]


def test_a_policy_is_made_read_replaced_and_deleted(ask: Ask) -> None:
    """With the messages that FinOpsGuard gives, and its document as it was sent."""
    assert ask("POST", "/policies", BUDGET) == (200, {"message": "Policy b created successfully", "id": "b"})
    assert ask("GET", "/policies/b") == (200, {**BUDGET, "budget": Decimal("0.5")})
    assert ask("POST", "/policies", BUDGET)[0] == 409
    status, listed = ask("GET", "/policies")
    assert status == 200
    [line] = listed["policies"]
    assert {key: line[key] for key in ("id", "name", "enabled", "on_violation", "has_budget", "has_rules")} == {
        "id": "b", "name": "Budget", "enabled": True, "on_violation": "block", "has_budget": True, "has_rules": False,
    }  # fmt: skip
    status, changed = ask("PUT", "/policies/b", {**BUDGET, "budget": 6000, "id": "other"})
    assert (status, changed["id"], changed["message"]) == (200, "b", "Policy Budget updated successfully")
    assert ask("GET", "/policies/b")[1]["budget"] == 6000
    assert ask("DELETE", "/policies/b") == (200, {"message": "Policy b deleted successfully"})
    for method in ("GET", "PUT", "DELETE"):
        assert error(ask(method, "/policies/b", BUDGET)) == (404, "Policy b not found")


def test_a_policy_without_an_id_gets_one(ask: Ask) -> None:
    """As FinOpsGuard's API does; and an id may have a slash in it."""
    rules = [{"field": "environment", "operator": "equals", "value": "dev"}]
    status, made = ask("POST", "/policies", {"name": "No dev", "rules": rules, "action": "block"})
    assert status == 200
    assert ask("GET", f"/policies/{made['id']}")[1] == {
        "name": "No dev", "rules": rules, "action": "block", "id": made["id"],
    }  # fmt: skip
    ask("POST", "/policies", {**BUDGET, "id": "team/a"})
    assert ask("GET", "/policies/team/a")[0] == 200


def test_one_policy_is_evaluated_in_finopsguards_shape(ask: Ask) -> None:
    """Its request with a payload is taken, and the answer says that the payload was not read."""
    ask("POST", "/policies", BUDGET)
    request = {"iac_type": "terraform", "iac_payload": "e30=", "policy_id": "b", "mode": "blocking"}
    status, answer = ask("POST", "/policy/evaluate", request)
    assert status == 200
    assert {key: answer[key] for key in ("status", "policy_id", "reason", "overall_status", "ignored")} == {
        "status": "fail", "policy_id": "b", "reason": "cost 1 USD is above the budget 0.5 USD",
        "overall_status": "block", "ignored": ["iac_payload", "iac_type"],
    }  # fmt: skip
    assert answer["blocking_violations"] == [
        {
            "policy_id": "b", "policy_name": "Budget", "reason": "cost 1 USD is above the budget 0.5 USD",
            "violation_details": {"actual_cost": 1, "budget_limit": Decimal("0.5"), "overage": Decimal("0.5")},
        }
    ]  # fmt: skip
    advised = ask("POST", "/policy/evaluate", {"policy_id": "b", "mode": "advisory"})[1]
    assert (advised["status"], advised["overall_status"]) == (
        "fail",
        "advisory",
    )  # it fails, and does not block
    earlier = ask("POST", "/policy/evaluate", {"policy_id": "b", "at": "2026-09-02"})[1]
    assert (earlier["status"], earlier["overall_status"]) == ("pass", "pass")
    status, unknown = ask("POST", "/policy/evaluate", {"policy_id": "x"})
    assert (status, unknown["status"], unknown["reason"]) == (404, "fail", "Policy x not found")


def test_all_policies_are_evaluated_if_none_is_named(ask: Ask) -> None:
    """Those that are enabled; what cannot be evaluated has not passed."""
    assert ask("POST", "/policy/evaluate")[1]["policy_id"] == "all_policies"
    ask("POST", "/policies", {**BUDGET, "on_violation": "advisory"})
    ask("POST", "/policies", {**BUDGET, "id": "off", "enabled": False})
    rule = {"field": "resource.size", "operator": "in", "value": ["m5.large"]}
    ask(
        "POST",
        "/policies",
        {"id": "r", "name": "R", "expression": {"rules": [rule]}, "on_violation": "block"},
    )
    answer = ask("POST", "/policy/evaluate", {"environment": "dev"})[1]
    assert (answer["status"], answer["policy_id"], answer["reason"]) == (
        "pass", "multiple_policies", "Advisory violations: 1",
    )  # fmt: skip
    assert answer["passed_policies"] == ["r"]
    resources = {"resources": [{"size": "m5.large"}]}
    answer = ask("POST", "/policy/evaluate", {"context": resources})[1]
    assert (answer["status"], answer["reason"]) == ("fail", "Blocking policy violations: 1")
    ask("POST", "/policies", {**BUDGET, "id": "e", "currency": "EUR"})
    answer = ask("POST", "/policy/evaluate")[1]
    assert answer["status"] == "fail"
    assert answer["errors"] == [
        {"policy_id": "e", "reason": "currency: the policy is in EUR, the costs are in USD"}
    ]
    assert len(ask("GET", "/analyses")[1]["items"]) == 6


def test_analyses_are_read_page_by_page(ask: Ask) -> None:
    """Each once, the newest first, though many are of one instant."""
    for name in "abc":
        ask("POST", "/policies", {**BUDGET, "id": name})
    for day in ("2026-09-20", "2026-09-21"):
        ask("POST", "/policy/evaluate", {"at": day})
    seen: list[tuple[str, str]] = []
    after: dict[str, str] = {}
    while True:
        page = ask("GET", "/analyses", limit="2", **after)[1]
        seen += [(item["started_at"], item["policy_id"]) for item in page["items"]]
        if page["next_cursor"] is None:
            break
        after = {"after": page["next_cursor"]}
    assert seen == [(f"2026-09-{day}T00:00:00Z", name) for day in (21, 20) for name in "abc"]
    assert [
        item["policy_id"] for item in ask("GET", "/analyses", policy_id="b", status="pass")[1]["items"]
    ] == ["b", "b"]
    assert ask("GET", "/analyses", status="block")[1] == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("method", "path", "body", "query", "answer"),
    [
        ("POST", "/policies", b"\xff", {}, (400, "the body is not UTF-8")),
        ("POST", "/policies", b'{"id": "x",\n "budget": "1"}', {}, (400, "2:2: budget: '1' is not a number")),
        ("POST", "/policies", b"[1]", {}, (400, "1:1: the policy is not a JSON object")),
        ("POST", "/policies", b"{", {}, (400, "1:2: the policy is not JSON: Expecting property name")),
        ("DELETE", "/policies", None, {}, (405, "this takes GET, HEAD, POST")),
        ("POST", "/policies/b", None, {}, (405, "this takes GET, HEAD, PUT, DELETE")),
        ("POST", "/policy/evaluate", b"[]", {}, (400, "the body is not a JSON object")),
        (
            "POST",
            "/policy/evaluate",
            {"mode": "soft"},
            {},
            (400, "mode: 'soft' is not one of advisory, blocking"),
        ),
        ("POST", "/policy/evaluate", {"policy_id": 1}, {}, (400, "policy_id: is not a text")),
        ("POST", "/policy/evaluate", {"at": "soon"}, {}, (400, "at: ")),
        ("POST", "/policy/evaluate", {"context": 1}, {}, (400, "context: is a JSON object")),
        ("GET", "/analyses", None, {"status": "bad"}, (400, "status: 'bad' is not one of")),
        ("GET", "/analyses", None, {"limit": "0"}, (400, "limit: '0' is not a number from 1 to 1000")),
        ("GET", "/analyses", None, {"after": "x"}, (400, "there is no analysis 'x'")),
        (
            "GET",
            "/policies",
            None,
            {"exporter": "x"},
            (404, "'x' is no exporter to a database that lasts; there is sqlite"),
        ),
    ],
)
def test_what_cannot_be_answered_is_said(
    ask: Ask, method: str, path: str, body: Any, query: dict[str, str], answer: tuple[int, str]
) -> None:
    """In FinOpsGuard's form of an error, with the place in what was sent."""
    status, text = error(ask(method, path, body, **query))
    assert (status, text[: len(answer[1])]) == answer


def test_where_changes_are_not_allowed_one_can_still_ask(store: Store) -> None:
    """The admin endpoint is open to others than this machine."""
    asking({"sqlite": (store, 0.0)})("POST", "/policies", BUDGET)
    ask = asking({"sqlite": (store, 0.0)}, changes=False)
    for method, path in (("POST", "/policies"), ("PUT", "/policies/b"), ("DELETE", "/policies/b")):
        status, text = error(ask(method, path, BUDGET))
        assert status == 403
        assert "service.admin.changes" in text
    assert ask("GET", "/policies/b")[0] == 200
    assert ask("POST", "/policy/evaluate", {"policy_id": "b"})[1]["overall_status"] == "block"


def test_whose_database_is_said_where_there_are_several(store: Store) -> None:
    """And what is missing where there is none, or has no tables."""
    both = asking({"a": (store, 0.0), "b": (store, 0.0)})
    assert error(both("GET", "/policies")) == (
        400,
        "there are several databases, name one by ?exporter=: a, b",
    )
    assert asking({"a": (store, 0.0), "b": (store, 0.0)}, costs="b")("GET", "/policies")[0] == 200
    assert both("GET", "/policies", exporter="b")[0] == 200
    assert error(asking({})("GET", "/policies"))[0] == 404
    with closing(SqliteStore(None)) as empty:
        status, text = error(asking({"a": (empty, 0.0)})("GET", "/policies"))
    assert status == 503
    assert "collector database migrate" in text
