"""`collector policy`, as a person or a pipeline of CI types it, over a SQLite file."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collector.cli.main import command
from collector.cost.protobuf import encode_request
from collector.model.clock import SystemClock
from collector.model.signal import Signal
from collector.storage.store import open_store
from tests.support.cost_samples import HOUR, ledger
from tests.support.stores import put

Run = Callable[..., Result]
NOW = SystemClock().unix_nano()
BUDGET = '{"id": "b", "name": "Budget",\n "budget": 1.50, "on_violation": "block", "period": "30d"}'
RULE = '{"id": "r", "rules": [{"field": "environment", "operator": "equals", "value": "dev"}]}'


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Two hours that cost 1 USD each, and a folder to write policies in."""
    monkeypatch.chdir(tmp_path)
    with closing(open_store("sqlite:///costs.db")) as store:
        store.migrate()
        for hour in (1, 2):
            request = encode_request(ledger(start=NOW - hour * HOUR))
            put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(request))

    def run(*arguments: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(
            command, ["policy", *arguments, "--connection-string", "sqlite:///costs.db"]
        )
        assert result.exit_code == exit_code, result.output + str(result.exception)
        return result

    return run


def write(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def exact(result: Result) -> Any:
    return json.loads(result.stdout, parse_float=Decimal)


def test_policies_are_kept_listed_shown_and_forgotten(run: Run) -> None:
    """And come back as they were written."""
    assert "there are no policies" in run("ls").stderr
    run("add", write("b.json", BUDGET), write("more.json", f"[{RULE}]"))
    assert run("show", "b").stdout == BUDGET + "\n"
    table = run("ls").stdout
    assert "Budget" in table
    assert "30d" in table
    listed = exact(run("ls", "--format", "json"))
    assert [(one["id"], one["has_budget"], one["has_rules"]) for one in listed] == [
        ("b", True, False),
        ("r", False, True),
    ]
    assert listed[0]["budget"] == Decimal("1.5")
    assert run("ls", "--format", "csv").stdout.splitlines()[1].startswith("b,Budget,yes,block,1.5,0,30d,UTC,")
    assert "these ids: b" in run("add", "b.json", exit_code=1).stderr
    run("add", write("b.json", BUDGET.replace("1.50", "9.00")), "--replace")
    assert "9.00" in run("show", "b").stdout
    run("disable", "b", "r")
    assert '"enabled":false' in run("show", "b").stdout
    run("enable", "b")
    assert [one["enabled"] for one in exact(run("ls", "--format", "json"))] == [True, False]
    run("rm", "b")
    assert "there is no policy b" in run("rm", "b", exit_code=1).stderr
    for verb in ("show", "enable", "disable", "evaluate"):
        assert "there is no policy b" in run(verb, "b", exit_code=1).stderr


def test_what_is_exported_is_imported_elsewhere(run: Run) -> None:
    """To the character."""
    assert json.loads(run("export").stdout) == []
    run("add", write("b.json", BUDGET), write("r.json", RULE))
    text = run("export").stdout
    run("rm", "b")
    run("disable", "r")
    assert "2 policies are kept" in run("import", write("all.json", text)).stderr
    assert run("export").stdout == text


def test_every_mistake_has_its_place_and_nothing_is_kept(run: Run) -> None:
    """File, line and column; in lists as well."""
    bad = f'[{BUDGET},\n  {{"id": "x",\n "budget": "1", "currency": "USA"}}, {{"id": "y"}}]'
    result = run("add", write("bad.json", bad), write("broken.json", '{"id": \n'), exit_code=1)
    assert result.stderr.splitlines() == [
        "Error: bad.json:4:2: [1].budget: '1' is not a number",
        "bad.json:4:37: [2].budget: a policy needs a budget or an expression",
        "broken.json:2:1: the file is not JSON: Expecting value",
    ]
    scope = '{"id": "s", "budget": 1,\n "scope": {"team": "a",\n  "servce": "x"}}'
    assert (
        "s.json:3:3: scope.servce: 'servce' is not a dimension of costs"
        in run("add", write("s.json", scope), exit_code=1).stderr
    )
    assert exact(run("ls", "--format", "json")) == []


def test_a_blocking_verdict_has_an_exit_code_of_its_own(run: Run) -> None:
    """For CI; --fail-on and --mode say what counts; every evaluation is kept, unless nobody wants it."""
    run("add", write("b.json", BUDGET), write("r.json", RULE))
    blocked = run("evaluate", exit_code=3)
    assert "cost 2 USD is above the budget 1.5 USD" in blocked.stdout
    assert "verdict: block" in blocked.stderr
    run("evaluate", "--mode", "advisory")
    run("evaluate", "--mode", "advisory", "--fail-on", "advisory", exit_code=3)
    run("evaluate", "--fail-on", "never", "--dry-run")
    run("evaluate", "r")
    run("evaluate", "r", "--context", "environment=dev", "--fail-on", "advisory", exit_code=3)
    run("evaluate", "b", "--at", "-29d")
    run("disable", "b")
    run("evaluate")
    kept = exact(run("analyses", "--format", "json"))
    assert [(one["policy_id"], one["policy_status"]) for one in kept if one["policy_id"] == "b"] == [
        ("b", "advisory"), ("b", "advisory"), ("b", "block"), ("b", "pass"),
    ]  # fmt: skip
    only = exact(run("analyses", "--policy", "b", "--status", "block", "--format", "json"))
    assert (only[0]["cost"], only[0]["violation_details"]["overage"]) == (2, Decimal("0.5"))
    assert "above the budget" in run("analyses", "--from", "-1h").stdout
    assert (
        run("analyses", "--format", "csv")
        .stdout.splitlines()[0]
        .startswith("time,policy,verdict,severity,cost")
    )
    assert "1 analyses deleted" in run("analyses", "--delete-older-than", "10d").stderr
    assert "no policy has said anything" in run("analyses", "--to", "-1d").stderr


def test_json_is_finopsguards_answer(run: Run) -> None:
    """Of one policy, of all, and of those in a file that nobody keeps."""
    run("add", write("b.json", BUDGET), write("r.json", RULE))
    one = exact(run("evaluate", "b", "--format", "json", exit_code=3))
    assert {key: one[key] for key in ("status", "policy_id", "reason")} == {
        "status": "fail", "policy_id": "b", "reason": "cost 2 USD is above the budget 1.5 USD",
    }  # fmt: skip
    every = exact(run("evaluate", "--format", "json", exit_code=3))
    assert (every["policy_id"], every["reason"]) == ("multiple_policies", "Blocking policy violations: 1")
    assert (every["overall_status"], every["passed_policies"]) == ("block", ["r"])
    before = exact(run("analyses", "--format", "json"))
    assert exact(run("evaluate", "--file", "r.json", "--format", "json"))["policy_id"] == "all_policies"
    assert exact(run("analyses", "--format", "json")) == before


def test_what_cannot_be_evaluated_has_not_passed(run: Run) -> None:
    """Exit code 1, and which currencies."""
    run("add", write("e.json", '{"id": "e", "budget": 1, "currency": "EUR", "period": "30d"}'))
    result = run("evaluate", "--format", "json", exit_code=1)
    assert exact(result)["status"] == "fail"
    assert "policy e: currency: the policy is in EUR, the costs are in USD" in result.stderr
    assert "either --file or ids" in run("evaluate", "e", "--file", "e.json", exit_code=2).stderr
    assert "environment=dev" in run("evaluate", "--context", "x", exit_code=2).stderr
