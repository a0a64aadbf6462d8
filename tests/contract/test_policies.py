"""Policies and analyses on every store: documents come back as they were written, sums are exact, and what was said is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from decimal import Decimal
from typing import Any, Final

import pytest

from collector.accounting.policies import Outcome, PolicyEvaluator
from collector.accounting.policy_book import Analysis, PolicyBook, PolicyExistsError, StoredPolicy
from collector.cost.amount import total
from collector.cost.policy.policy import PolicyError, Severity, Status
from collector.cost.protobuf import encode_request
from collector.model.signal import Signal
from collector.storage.store import QueryError, SchemaError, Store, store_for
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, hours, ledger
from tests.support.fake_clock import FakeClock
from tests.support.stores import put

DAY: Final = 24 * HOUR
DOCUMENT: Final = r"""{ "id": "p" , "name": "B\u00fcdget %s 😀",
  "budget": 1000.00, "on_violation": "block", "x": [1e2, null, {"y": "\u2028"}] }"""


def document(policy_id: str = "p", **keys: Any) -> str:
    return json.dumps({"id": policy_id, **({"budget": 1} if "expression" not in keys else {}), **keys})


def book(store: Store, at: int = NOW_UNIX_NANO, **options: Any) -> PolicyBook:
    return PolicyBook(store, FakeClock(unix_nano=at), **options)


def spend(store: Store, *batches: Sequence[Any]) -> None:
    for batch in batches:
        put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(encode_request(batch)))


def evaluate(store: Store, *documents: str, at: int = NOW_UNIX_NANO, **options: Any) -> Outcome:
    """Keep policies, and evaluate them."""
    kept = book(store).add(documents, replace=True)
    return PolicyEvaluator(store, FakeClock(unix_nano=at)).evaluate(kept, at, **options)


def one(store: Store, at: int = NOW_UNIX_NANO, **keys: Any) -> Analysis:
    """What a policy with these keys says."""
    outcome = evaluate(store, document(**keys), at=at)
    assert outcome.failures == ()
    return outcome.analyses[0]


def test_a_policy_comes_back_as_it_was_written(store: Store) -> None:
    """To the character; what SQL shows is read from it."""
    [kept] = book(store).add([DOCUMENT])
    assert book(store).get("p") == kept
    assert kept.document == DOCUMENT
    assert (kept.created_unix_nano, kept.updated_unix_nano) == (NOW_UNIX_NANO, NOW_UNIX_NANO)
    row = store.query("SELECT policy_id, name, on_violation, period, document FROM policies").rows[0]
    assert row[:4] == ("p", "Büdget %s 😀", "block", "month")
    shown = json.loads(row[4]) if isinstance(row[4], str) else row[4]
    assert shown == json.loads(DOCUMENT)
    assert [Decimal(value) for (value,) in store.query("SELECT budget FROM policies").rows] == [1000]


def test_a_policy_is_switched_and_replaced_and_forgotten(store: Store) -> None:
    """The rest of its document stays, and so does the time at which it was made."""
    policies = book(store)
    policies.add([DOCUMENT, document("q")])
    later = book(store, NOW_UNIX_NANO + 5)
    off = later.enable("p", enabled=False)
    assert off is not None
    assert (off.policy.enabled, off.created_unix_nano, off.updated_unix_nano) == (
        False,
        NOW_UNIX_NANO,
        NOW_UNIX_NANO + 5,
    )
    assert '"budget":1000.00' in off.document
    assert [found.policy.id for found in policies.policies(enabled_only=True)] == ["q"]
    assert later.enable("p", enabled=False) == off
    new = later.replace("p", document("another", budget=7))
    assert new is not None
    assert (new.policy.id, new.policy.budget, new.created_unix_nano) == ("p", Decimal(7), NOW_UNIX_NANO)
    assert policies.policies() == [new, policies.get("q")]
    assert policies.remove("p")
    assert not policies.remove("p")
    assert later.enable("p", enabled=True) is None
    assert later.replace("p", document()) is None
    assert policies.get("p") is None


def test_policies_are_added_all_or_none(store: Store) -> None:
    """One that is there, one that cannot be used, one that is there twice in the same breath."""
    policies = book(store)
    policies.add([document("a")])
    with pytest.raises(PolicyExistsError, match=r"with these ids: a$"):
        policies.add([document("b"), document("a")])
    with pytest.raises(PolicyError, match=r"^scope\.servce: 'servce' is not a dimension of costs"):
        policies.add([document("b"), document("c", scope={"servce": "x"})])
    with pytest.raises(PolicyError, match=r"^id: 'b' is there twice"):
        policies.add([document("b"), document("b")])
    assert [found.policy.id for found in policies.policies()] == ["a"]
    policies.add([document("a", budget=2), document("b")], replace=True)
    assert [found.policy.budget for found in policies.policies()] == [2, 1]


def test_costs_of_the_period_so_far_are_summed_exactly(store: Store) -> None:
    """What begins after the instant, before the period, or in another scope does not count."""
    spend(
        store, *hours(3), ledger("order", start=NOW_UNIX_NANO - HOUR), ledger(start=NOW_UNIX_NANO - 30 * DAY)
    )
    said = one(store, budget=3.999999999999999999, on_violation="block")  # a float in Python, digits in JSON
    assert (said.cost, said.billing_currency, said.basis) == (Decimal(4), "USD", "effective")
    assert said.status is Status.PASS  # 3.999999999999999999 is 4.0 to json.dumps
    exact = document().replace("1}", "3.999999999999999999}")
    [said] = evaluate(store, exact).analyses
    assert (said.status, said.violation_details["overage"]) == (Status.ADVISORY, Decimal("1E-18"))
    assert one(store, at=NOW_UNIX_NANO - HOUR).cost == 2
    assert one(store, scope={"service": "order"}).cost == Decimal("0.333333333333333333")
    assert one(
        store, scope={"team": "shop", "environment": "prod", "service": ["order", "cart"]}
    ).cost == Decimal("1.333333333333333332")
    assert (
        one(store, scope={"tag:env": "prod", "label:tier": "front"}).cost == 0
    )  # divided among requests, without labels
    assert one(store, scope={"team": ""}).cost == Decimal("2.666666666666666668")
    assert one(store, basis="billed", period="2h").cost == 3
    assert one(store, period="40d").cost == 5
    # Monday, 14:13 in UTC, is Tuesday already in Kiritimati.
    assert one(store, period="day", timezone="Pacific/Kiritimati").cost == 4
    assert one(store, period="day", timezone="Pacific/Kiritimati", at=NOW_UNIX_NANO + 20 * HOUR).cost == 0


def test_parts_of_a_scope_sum_to_the_whole(store: Store) -> None:
    """By any dimension, to the last digit."""
    spend(store, *hours(3), ledger("order", start=NOW_UNIX_NANO - HOUR))
    whole = one(store).cost
    for dimension, values in {
        "service": ["cart", "order", ""], "tenant": ["a", "b", ""], "subject": ["idle", "request_group", "unspecified"],
    }.items():  # fmt: skip
        parts = [one(store, scope={dimension: value}).cost for value in values]
        assert total(parts) == whole == one(store, scope={dimension: values}).cost
    outcomes = [one(store, period=f"{count}h").cost for count in (1, 2, 3)]
    assert outcomes == [2, 3, 4]


def test_an_evaluation_says_what_it_saw(store: Store) -> None:
    """Costs without a price, idle, the period before, the forecast of the whole month, thresholds."""
    spend(store, *hours(3), ledger(start=NOW_UNIX_NANO - 25 * DAY))
    rules = [
        {"field": "growth", "operator": ">=", "value": 2},
        {"field": "idle_ratio", "operator": ">", "value": 0.6},
    ]
    said = one(store, budget=2, expression={"rules": rules}, thresholds=[{"amount": 3, "severity": "error"}])
    assert (said.status, said.severity) == (Status.ADVISORY, Severity.ERROR)
    assert said.reasons == (
        "cost 3 USD is above the budget 2 USD",
        "cost has reached 3 USD: error",
        "3 of 12 records have no price and are in no sum",
    )
    assert said.input == {
        "cost": Decimal(3), "previous_period": Decimal(1), "idle": Decimal("2.000000000000000001"),
        "records": Decimal(12), "unpriced": Decimal(3),
    }  # fmt: skip
    assert said.forecast == Decimal("4.370503597122302158")  # 20 days, 14:13:20 of 30 days have passed
    assert one(store, scope={"service": "nobody"}).input["records"] == 0


def test_currencies_are_never_mixed(store: Store) -> None:
    """An error names them; a scope chooses one; other policies are evaluated all the same."""
    spend(store, *hours(1), ledger("order", start=NOW_UNIX_NANO - HOUR, billing_currency="EUR"))
    outcome = evaluate(
        store, document("a"), document("b", currency="EUR"), document("c", scope={"currency": "EUR"}, currency="EUR"),
        document("d", scope={"currency": "EUR"}, currency="GBP"), document("e", scope={"currency": "GBP"}, currency="GBP"),
    )  # fmt: skip
    assert [(said.policy_id, said.cost, said.billing_currency) for said in outcome.analyses] == [
        ("c", Decimal(1), "EUR"),
        ("e", Decimal(0), "GBP"),
    ]
    assert [(failed.policy_id, failed.reason.partition(",")[0]) for failed in outcome.failures] == [
        ("a", "currency: the costs in scope are in EUR and USD"),
        ("b", "currency: the costs in scope are in EUR and USD"),
        ("d", "currency: the policy is in GBP"),
    ]


def test_a_mode_says_what_a_violation_shall_be(store: Store) -> None:
    """FinOpsGuard's words; and what the caller knows is asked for by expressions, before the scope."""
    spend(store, *hours(2))
    policies = [document("a"), document("b", on_violation="block")]
    assert [s.status.value for s in evaluate(store, *policies).analyses] == ["advisory", "block"]
    assert [s.status.value for s in evaluate(store, *policies, mode="advisory").analyses] == ["advisory"] * 2
    assert [s.status.value for s in evaluate(store, *policies, mode="blocking").analyses] == ["block"] * 2
    assert evaluate(store, *policies, mode="blocking").status is Status.BLOCK
    rules = {"rules": [{"field": "environment", "operator": "==", "value": "prod"}]}
    scoped = document("c", expression=rules, scope={"environment": "prod"})
    assert evaluate(store, scoped).status is Status.ADVISORY
    assert evaluate(store, scoped, context={"environment": "dev"}).status is Status.PASS


def test_what_was_said_is_kept(store: Store) -> None:
    """Every field; newest first; the same evaluation at the same instant once; a policy's analyses outlive it."""
    spend(store, *hours(2))
    at = [NOW_UNIX_NANO - HOUR, NOW_UNIX_NANO]
    texts = [
        document("a", scope={"team": ["shop", ""]}, forecast=True),
        document("b", budget=0, currency="USD"),
    ]
    said = [
        analysis
        for when in at
        for analysis in evaluate(store, *texts, at=when, context={"x": Decimal("0.1")}).analyses
    ]
    policies = book(store)
    assert policies.record(said) == said
    policies.record(said)
    policies.remove("a")
    assert policies.analyses() == [said[2], said[3], said[0], said[1]]
    assert policies.analyses(policy_id="b", status=Status.ADVISORY, limit=1) == [said[3]]
    assert policies.analyses(before_unix_nano=NOW_UNIX_NANO, start_unix_nano=at[0]) == said[:2]
    rows = store.query(
        "SELECT policy_status, reason, cost, budget, mode, severity FROM analyses ORDER BY policy_id, time"
    ).rows
    assert rows[-1][:2] == ("advisory", "cost 2 USD is above the budget 0 USD")
    assert [Decimal(value) for value in rows[-1][2:4]] == [2, 0]


def test_the_same_again_is_left_out(store: Store) -> None:
    """Where only changes are wanted: another time and its forecast are none, another cost or document is."""
    spend(store, *hours(1))
    policies = book(store)
    first = evaluate(store, document()).analyses
    assert policies.record(first, changes_only=True) == list(first)
    again = evaluate(store, document(), at=NOW_UNIX_NANO + 5).analyses
    assert again[0].forecast != first[0].forecast
    assert policies.record(again, changes_only=True) == []
    changed = evaluate(store, document(name="x"), at=NOW_UNIX_NANO + 5).analyses
    assert policies.record(changed, changes_only=True) == list(changed)
    spend(store, ledger("order", start=NOW_UNIX_NANO))
    dearer = evaluate(store, document(name="x"), at=NOW_UNIX_NANO + 6).analyses
    assert policies.record(dearer, changes_only=True) == list(dearer)


def test_old_analyses_go_when_new_ones_come(store: Store) -> None:
    """By age; 0 keeps them for ever."""
    spend(store, *hours(1))
    said = [evaluate(store, document(), at=NOW_UNIX_NANO - day * DAY).analyses[0] for day in (40, 20, 0)]
    book(store, keep_s=0).record(said)
    assert len(book(store).analyses()) == 3
    book(store, keep_s=30 * 86_400).record([])
    assert len(book(store).analyses()) == 3
    book(store, keep_s=30 * 86_400).record(said[2:])
    assert book(store).analyses() == [said[2], said[1]]
    assert book(store).delete_analyses(NOW_UNIX_NANO) == 1
    assert book(store).analyses() == [said[2]]


def test_all_questions_together_have_a_time_limit(store: Store) -> None:
    """Who asks over HTTP does not wait for a database that takes for ever."""
    clock = FakeClock(unix_nano=NOW_UNIX_NANO)
    [kept] = book(store).add([document()])
    assert PolicyEvaluator(store, clock, timeout_s=5).evaluate([kept], NOW_UNIX_NANO).failures == ()

    class Slow(list[StoredPolicy]):
        def __iter__(self) -> Any:
            yield kept
            clock.advance(6)
            yield kept

    with pytest.raises(QueryError, match="policies took longer than 5 s"):
        PolicyEvaluator(store, clock, timeout_s=5).evaluate(Slow(), NOW_UNIX_NANO)


def test_policies_need_their_tables(empty_store: Store) -> None:
    """A database that is a version behind stores telemetry all the same; here it says what to do."""
    for ask in (
        book(empty_store).policies,
        book(empty_store).analyses,
        lambda: book(empty_store).add([document()]),
    ):
        with pytest.raises(SchemaError, match="collector database migrate"):
            ask()


def test_what_one_has_added_another_sees(lasting_store_url: str) -> None:
    """There is one truth: the database."""
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(store_for(lasting_store_url))) for _ in range(2)]
        stores[0].open()
        stores[0].migrate()
        books = [book(store) for store in stores]
        books[0].add([DOCUMENT])
        found = books[1].get("p")
        assert found is not None
        assert found.document == DOCUMENT
        books[1].enable("p", enabled=False)
        assert books[0].policies(enabled_only=True) == []
